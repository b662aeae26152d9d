"""The C functions that do the operations, from the files of templates."""

import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from paretune.deploy.c_files import Taken

TEMPLATES = Path(__file__).parent / "templates"
# A marker with the function's name and, behind a colon, how its arrays lie in memory,
# which headers are spared; then the function.
KERNEL = re.compile(
    r"/\* kernel (\w+)(?:: [^*]+)? \*/\n(.*?)\n(?=/\* kernel |\Z)", re.DOTALL
)
CALLED = re.compile(r"KERNEL_(\w+)\(")
PIXEL = re.compile(r"PIXEL\((.+?), channel\)")


def read_kernels(template: str) -> dict[str, str]:
    """The C functions of a file of templates by the kinds of the operations that they
    do.
    """
    text = (TEMPLATES / template).read_text(encoding="utf-8")
    return {kind: function.strip() for kind, function in KERNEL.findall(text)}


def choose_kernels(used: Collection[str], taken: Taken) -> list[str]:
    """The functions on floats that are called, and those that these call; they read
    what is ``taken``.
    """
    kernels = read_kernels("kernels.c")
    return _take(_add_called(kernels, set(used)), taken)


def choose_int8_kernels(used: Collection[str], taken: Taken) -> list[str]:
    """The functions in whole numbers that are called, and those that these call; those
    of the last layer store sums as they are.
    """
    kernels: dict[str, str] = {}
    for kind, body in read_kernels("kernels_int8.c").items():
        kernels[kind] = body.replace("OUT *", "int8_t *").replace(
            "STORE(", "KERNEL_rounded("
        )
        last = body.replace(f"KERNEL_{kind}(", f"KERNEL_{kind}_sums(")
        kernels[f"{kind}_sums"] = last.replace("OUT *", "int32_t *").replace(
            "STORE(", "KERNEL_kept("
        )
    return _take(_add_called(kernels, set(used)), taken)


def _add_called(kernels: Mapping[str, str], used: set[str]) -> list[str]:
    """The functions in ``used``, and all that they call, in the order of ``kernels``:
    each stands behind those that it calls.
    """
    wanted: set[str] = set()
    while used:
        wanted |= used
        called = {name for kind in used for name in CALLED.findall(kernels[kind])}
        used = (called & kernels.keys()) - wanted
    return [function for kind, function in kernels.items() if kind in wanted]


def _take(functions: Iterable[str], taken: Taken) -> list[str]:
    """The functions with the type of what they take, and how a pixel is read."""
    written = []
    for function in functions:
        text = function.replace("INPUT", taken.c_input.ctype).replace(
            "UNIT", taken.unit
        )
        pixel = r"\1" if taken.is_ready else r"KERNEL_pixel(\1, channel)"
        written.append(PIXEL.sub(pixel, text))
    return written
