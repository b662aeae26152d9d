"""Compiling the kernels at first use, and keeping what was compiled.

One compilation of a few seconds serves every architecture. Its file is kept under a
name made of the source, the flags, the compiler and the processor, and of its own hash:
a damaged one is not loaded.
"""

import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

SOURCES = Path(__file__).with_name("kernels")
PROGRAM = SOURCES / "program.cpp"  # includes all others
COMPILERS = ("g++", "clang++", "c++")
FLAGS = (
    "-O3",
    "-march=native",
    "-std=c++17",
    "-shared",
    "-fPIC",
    "-fvisibility=hidden",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-fno-signed-zeros",
    "-ffp-contract=fast",
)
COMPILER_TIMEOUT_S = 120
HASH_CHARACTERS = 16
PROCESSOR_LINES = ("flags", "Features", "model name", "CPU part")  # of /proc/cpuinfo


@dataclass(frozen=True, slots=True)
class Built:
    """A compiled file, and whether it was compiled just now and kept."""

    path: Path
    is_new: bool


def find_compiler() -> list[str]:
    """The C++ compiler and its flags: those of ``CXX``, else g++ or clang++; empty if
    there is none.
    """
    named = shlex.split(os.environ.get("CXX", ""))
    if named:
        return named
    for name in COMPILERS:
        if shutil.which(name):
            return [name]
    return []


def build_library(compiler: Sequence[str], folder: Path) -> Built:
    """The compiled kernels in ``folder``; where that cannot be written, in one that
    lasts as long as the process.

    Raises ``OSError`` or ``subprocess.SubprocessError`` if they cannot be compiled.
    """
    key = _hash_inputs(compiler)
    kept = _find_kept(folder, key)
    if kept is not None:
        return Built(kept, is_new=False)
    made = _compile(compiler)
    content = _shorten_hash(made.read_bytes())
    path = folder / f"kernels-{key}-{content}.so"
    try:
        _keep(made, path)
    except OSError:
        return Built(made, is_new=False)
    return Built(path, is_new=True)


def _hash_inputs(compiler: Sequence[str]) -> str:
    """A hash of all that a compiled file depends on."""
    parts = _read_sources()
    parts += FLAGS
    parts += compiler
    parts.append(_run([*compiler, "--version"]))
    parts.append(platform.machine())
    parts += _describe_processor()

    text = "\n".join(parts)
    return _shorten_hash(text.encode())


def _read_sources() -> list[str]:
    texts: list[str] = []
    for path in sorted(SOURCES.iterdir()):
        texts.append(path.read_text())
    return texts


def _describe_processor() -> list[str]:
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.is_file():
        return []

    # Each processor has its own, which are the same.
    lines = set(cpuinfo.read_text().splitlines())
    return sorted(line for line in lines if line.startswith(PROCESSOR_LINES))


def _find_kept(folder: Path, key: str) -> Path | None:
    """The file of this key whose content is what was compiled, if there is one."""
    for path in sorted(folder.glob(f"kernels-{key}-*.so")):
        _, _, noted = path.stem.rpartition("-")
        if noted == _shorten_hash(path.read_bytes()):
            return path
    return None


def _shorten_hash(content: bytes) -> str:
    digest = hashlib.sha256(content)
    return digest.hexdigest()[:HASH_CHARACTERS]


def _compile(compiler: Sequence[str]) -> Path:
    """A new file in a temporary folder."""
    folder = _make_temporary_folder()
    made = Path(folder.name, "kernels.so")
    program, *own_flags = compiler
    command = [program, *FLAGS, *own_flags, str(PROGRAM), "-o", str(made)]
    try:
        _run([*command, "-fopenmp"])
    except subprocess.CalledProcessError:  # no OpenMP: one thread
        _run(command)
    return made


def _run(command: Sequence[str]) -> str:
    """The output of a command. Raises ``OSError`` or ``subprocess.SubprocessError`` if it
    fails.
    """
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, timeout=COMPILER_TIMEOUT_S
    )
    return done.stdout


@cache
def _make_temporary_folder() -> "tempfile.TemporaryDirectory[str]":
    return tempfile.TemporaryDirectory(prefix="paretune-")


def _keep(made: Path, path: Path) -> None:
    """Copy a file to ``path``, whole or not at all: other processes may do the same
    now.
    """
    folder = path.parent
    folder.mkdir(parents=True, exist_ok=True)

    with tempfile.TemporaryDirectory(
        dir=folder, prefix=".", suffix=".partial"
    ) as staged:
        copy = Path(staged, path.name)
        shutil.copyfile(made, copy)
        copy.replace(path)
