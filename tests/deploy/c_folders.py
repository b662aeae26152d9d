"""What the folders of C programs say, and how other programs use them."""

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from paretune.deploy.c_files import CFiles

STRICT = ("-Wall", "-Wextra", "-Wpedantic", "-Werror")


def read_size(files: CFiles, name: str) -> int:
    """A size that the header defines, such as ``MEMORY_BYTES``."""
    define = rf"#define {files.name.upper()}_{name} (\d+)\n"
    return int(re.findall(define, files.header.read_text())[0])


def read_scale(files: CFiles) -> float:
    """What the header says that a logit in whole numbers is multiplied by."""
    return float(re.findall(r"; times (\S+) they", files.header.read_text())[0])


def output_of(
    main: str,
    programs: Sequence[CFiles],
    compiler: Sequence[str] = ("gcc", "c", "c99"),
    options: Sequence[str] = (),
    data: bytes = b"",
) -> bytes:
    """What a program that uses these ``programs`` says, compiled in the folder of the
    first one without a warning. A ``compiler`` is a command, a language, a standard.
    """
    folder = programs[0].folder
    (folder / "main.c").write_text(main)
    command, language, standard = compiler
    includes = [f"-I{files.folder}" for files in programs]
    sources = [files.code for files in programs]
    gcc = [command, "-x", language, f"-std={standard}", *STRICT, *options, *includes]
    build = [*gcc, "main.c", *sources, "-o", "main", "-lm"]
    done = subprocess.run(
        build, cwd=folder, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    program: list[str | Path] = [folder / "main"]
    return subprocess.run(program, input=data, capture_output=True, check=True).stdout
