"""The C functions that do the operations, from the files of templates."""

import re
from collections.abc import Collection
from pathlib import Path

TEMPLATES = Path(__file__).parent / "templates"
# A marker with the function's name and, behind a colon, how its arrays lie in memory,
# which headers are spared; then the function.
KERNEL = re.compile(
    r"/\* kernel (\w+)(?:: [^*]+)? \*/\n(.*?)\n(?=/\* kernel |\Z)", re.DOTALL
)
NORMALISE = "normalise"  # the function that all norms call


def read_kernels(template: str) -> dict[str, str]:
    """The C functions of a file of templates by the kinds of the operations that they
    do.
    """
    text = (TEMPLATES / template).read_text(encoding="utf-8")
    return {kind: function.strip() for kind, function in KERNEL.findall(text)}


def choose_kernels(used: Collection[str]) -> list[str]:
    """The functions on floats that are called, and the one that these call."""
    wanted = set(used)
    if any(kind.endswith("_norm") for kind in used):
        wanted.add(NORMALISE)
    return [
        function
        for kind, function in read_kernels("kernels.c").items()
        if kind in wanted
    ]


def choose_int8_kernels(used: Collection[str]) -> list[str]:
    """The functions in whole numbers that are called; those of the last layer store
    sums as they are.
    """
    functions = []
    for kind, body in read_kernels("kernels_int8.c").items():
        if kind in used:
            functions.append(
                body.replace("OUT *", "int8_t *").replace("STORE(", "KERNEL_rounded(")
            )
        if f"{kind}_sums" in used:
            last = body.replace(f"KERNEL_{kind}(", f"KERNEL_{kind}_sums(")
            functions.append(
                last.replace("OUT *", "int32_t *").replace("STORE(", "KERNEL_kept(")
            )
    return functions
