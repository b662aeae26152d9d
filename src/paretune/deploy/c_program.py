"""Headers compiled by the C compiler of this machine, run, and measured."""

import os
import platform
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from paretune.deploy.c_text import c_name
from paretune.errors import ExportError
from paretune.paths import NO_ROOM, temporary_folder

STRICT = ("-std=c99", "-O2", "-Wall", "-Wextra", "-Wpedantic", "-Werror")
FOR_SIZE = ("-Os", "-std=c99", "-c", "-fstack-usage")
DEEPEST_CALLS = 3  # class, logits, and the function of an operation
MAIN = """
#include <stdio.h>
#include "model.h"
int main(void) {{
  static float image[{pixels}], logits[{classes}];
  while (fread(image, sizeof(float), {pixels}, stdin) == {pixels}) {{
    {name}_logits(image, logits);
    fwrite(logits, sizeof(float), {classes}, stdout);
  }}
  return 0;
}}
"""
CLASSIFY = """#include "model.h"
int classify(const uint8_t *p) {{ return {name}_class(p); }}
"""


def run_c(path: Path, name: str, images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Logits ``(N, classes)`` of images ``(N, C, H, W)`` in [0, 1] by the header
    ``path``.

    The header's functions begin with ``name``. Raises
    :class:`~paretune.errors.ExportError` if there is no C compiler, or if it does not
    take the header.
    """
    header = path.read_text(encoding="utf-8")
    [classes] = map(int, re.findall(rf"#define {name.upper()}_CLASSES (\d+)", header))
    main = MAIN.format(pixels=images[0].size, classes=classes, name=name)
    images = np.ascontiguousarray(images)
    output = run_program(main, path, images.tobytes())
    logits = np.frombuffer(output, np.float32)
    return logits.reshape(-1, classes)


def run_program(main: str, header: Path, data: bytes) -> bytes:
    """Output of the C program ``main``, which includes the ``header`` as ``model.h``,
    for ``data`` on its standard input.

    Raises :class:`~paretune.errors.ExportError` if there is no C compiler, or if it
    does not take the header.
    """
    compiler = _find_compiler()
    with temporary_folder() as folder:
        source = folder / "main.c"
        program = folder / "main"
        shutil.copyfile(header, folder / "model.h")  # its own path may hold anything
        source.write_text(main)
        command = [compiler, *STRICT, str(source), "-o", str(program), "-lm"]
        english = {**os.environ, "LC_ALL": "C"}
        compiled = subprocess.run(
            command, capture_output=True, text=True, check=False, env=english
        )
        if compiled.returncode:
            raise _explain_failure(compiler, header, compiled.stderr)
        return subprocess.run(
            [program], input=data, stdout=subprocess.PIPE, check=True
        ).stdout


def _find_compiler() -> str:
    compiler = shutil.which("gcc") or shutil.which("cc")
    if not compiler:
        raise ExportError(
            "C compiler `gcc` is not on the PATH; the header is checked with it, or "
            "with `cc`; install one of them or leave out --c"
        )
    return compiler


def _explain_failure(compiler: str, header: Path, message: str) -> Exception:
    """Why the compiler did not take the header: a full disk is no fault of it."""
    for number, words in NO_ROOM.items():
        if words in message:
            return OSError(number, words)
    errors = [line for line in message.splitlines() if "error:" in line]
    reason = errors[0] if errors else message.strip()
    return ExportError(
        f"C header `{header.name}` is refused by {compiler} ({reason}); please report "
        "the model's config"
    )


def describe_program(header: Path) -> str:
    """Bytes of code and constants, of data, and of the deepest call's stack, of an
    object file with the function of the class.

    Compiled by gcc for size, for this machine; nothing is linked.
    """
    compiler = shutil.which("gcc")
    sizer = shutil.which("size")
    if not compiler or not sizer:
        return "not measured, gcc and size are missing"
    with temporary_folder() as folder:
        source = folder / "main.c"
        shutil.copyfile(header, folder / "model.h")
        source.write_text(CLASSIFY.format(name=c_name(header)))
        subprocess.run([compiler, *FOR_SIZE, source.name], cwd=folder, check=True)
        table = subprocess.run(
            [sizer, "main.o"], cwd=folder, capture_output=True, text=True, check=True
        ).stdout
        frames = (folder / "main.su").read_text()
    text, data, bss = map(int, table.splitlines()[1].split()[:3])
    machine = platform.machine()
    return (
        f"{text:,} bytes of code and constants, {data + bss:,} of data, "
        f"at most {_measure_stack(frames):,} of stack (gcc -Os, {machine})"
    )


def _measure_stack(frames: str) -> int:
    """Bytes of the deepest call, by what gcc notes of each function."""
    sizes = [int(line.split("\t")[1]) for line in frames.splitlines()]
    return sum(sorted(sizes)[-DEEPEST_CALLS:])
