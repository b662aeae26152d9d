"""C programs compiled by the C compiler of this machine, run, and measured."""

import os
import platform
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paretune.deploy.c_files import CFiles
from paretune.errors import ExportError
from paretune.paths import NO_ROOM, temporary_folder

STRICT = ("-std=c99", "-O2", "-Wall", "-Wextra", "-Wpedantic", "-Werror")
FOR_SIZE = ("-Os", "-std=c99", "-c", "-fstack-usage")
DEEPEST_CALLS = 3  # predict, network, and the function of an operation
MAIN = """
#include <stdio.h>
#include "{name}.h"
int main(void) {{
  static {number} image[{prefix}_INPUT_SIZE];
  static {logit} logits[{prefix}_CLASSES];
  while (fread(image, sizeof image, 1, stdin) == 1) {{
    {name}_predict(image, logits, 0);
    fwrite(logits, sizeof logits, 1, stdout);
  }}
  return 0;
}}
"""


def run_c(files: CFiles, inputs: NDArray[Any]) -> NDArray[Any]:
    """Logits ``(N, classes)``, float32 or int32, of ``inputs`` ``(N, numbers)`` by the
    program.

    Raises :class:`~paretune.errors.ExportError` if there is no C compiler, or if it
    does not take the program.
    """
    main = MAIN.format(
        name=files.name,
        prefix=files.name.upper(),
        number=files.c_input.ctype,
        logit=files.logit,
    )
    numbers = np.ascontiguousarray(inputs, files.c_input.dtype)
    done = run_program(main, [files.header, files.code], numbers.tobytes())
    logits = np.frombuffer(done.stdout, files.logit_dtype)
    return logits.reshape(len(inputs), -1)


def run_test(files: CFiles) -> None:
    """Run the program's own test.

    Raises :class:`~paretune.errors.ExportError` if it fails, or as :func:`run_c` does.
    """
    main = files.test.read_text(encoding="utf-8")
    done = run_program(main, [files.header, files.code])
    if done.returncode:
        said = done.stdout.decode().strip()
        raise ExportError(
            f"C program `{files.name}` fails its own test ({said}); please report the "
            "model's config"
        )


def run_program(
    main: str, files: list[Path], data: bytes = b""
) -> "subprocess.CompletedProcess[bytes]":
    """What becomes of the C program ``main``, compiled with ``files``, that gets
    ``data`` on its standard input.

    Raises :class:`~paretune.errors.ExportError` if there is no C compiler, or if it
    does not take the program.
    """
    compiler = _find_compiler()
    with temporary_folder() as folder:
        for file in files:
            shutil.copy(file, folder)  # its own path may hold anything
        (folder / "main.c").write_text(main, encoding="utf-8")
        sources = [file.name for file in files if file.suffix == ".c"]
        command = [compiler, *STRICT, "main.c", *sources, "-o", "main", "-lm"]
        english = {**os.environ, "LC_ALL": "C"}
        compiled = subprocess.run(
            command,
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            env=english,
        )
        if compiled.returncode:
            raise _explain_failure(compiler, compiled.stderr)
        return subprocess.run(
            [folder / "main"], input=data, stdout=subprocess.PIPE, check=False
        )


def _find_compiler() -> str:
    compiler = shutil.which("gcc") or shutil.which("cc")
    if not compiler:
        raise ExportError(
            "C compiler `gcc` is not on the PATH; the program is checked with it, or "
            "with `cc`; install one of them or leave out --c"
        )
    return compiler


def _explain_failure(compiler: str, message: str) -> Exception:
    """Why the compiler did not take the program: a full disk is no fault of it."""
    for number, words in NO_ROOM.items():
        if words in message:
            return OSError(number, words)
    errors = [line for line in message.splitlines() if "error:" in line]
    reason = errors[0] if errors else message.strip()
    return ExportError(
        f"C program is refused by {compiler} ({reason}); please report the model's "
        "config"
    )


def describe_program(files: CFiles) -> str:
    """Bytes of code and constants, of data, and of the deepest call's stack, of the
    program's object file.

    Compiled by gcc for size, for this machine; nothing is linked.
    """
    compiler = shutil.which("gcc")
    sizer = shutil.which("size")
    if not compiler or not sizer:
        return "not measured, gcc and size are missing"
    with temporary_folder() as folder:
        shutil.copy(files.header, folder)
        shutil.copy(files.code, folder / "main.c")
        subprocess.run([compiler, *FOR_SIZE, "main.c"], cwd=folder, check=True)
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
