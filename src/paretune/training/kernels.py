"""The C++ kernels of :mod:`paretune.training.batch_last`: compiled at first use, cached, loaded.

One compilation of about two seconds serves every architecture. Its file is kept in the user's cache folder under a name
made of the source, the flags, the compiler and the processor, and of its own hash: a damaged one is not loaded.
"""

import ctypes
import hashlib
import logging
import os
import platform
import shlex
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from paretune import paths
from paretune.atomic import atomically
from paretune.cache import make_room, mark_used
from paretune.errors import first_line

SOURCE = Path(__file__).with_name("kernels.cpp")
FLAGS = (
    "-O3", "-march=native", "-std=c++17", "-shared", "-fPIC", "-fno-math-errno", "-fno-trapping-math", "-fno-signed-zeros",
    "-ffp-contract=fast",
)  # fmt: skip
TIMEOUT_S = 120

log = logging.getLogger(__name__)


@cache
def kernels() -> ctypes.CDLL | None:
    """The library, compiled if the cache has none; ``None``, and one line in the log, where that is not possible.

    The compiler is ``CXX``, with its flags if it has some, else g++ or clang++.
    """
    compiler = shlex.split(os.environ.get("CXX", "")) or [*filter(shutil.which, ("g++", "clang++", "c++"))][:1]
    if not compiler:
        log.info(
            "no C++ compiler is on the PATH, so trainings run without the batch-last kernels; install g++ for them"
        )
        return None
    try:
        key = _key(compiler)
        return _load(_cached(key) or _compiled(compiler, key))
    except (OSError, RuntimeError, subprocess.SubprocessError) as error:  # RuntimeError: no home folder
        detail = getattr(error, "stderr", None) or first_line(error)
        log.warning(
            "`%s` cannot compile the batch-last kernels (%s); trainings run without them",
            shlex.join(compiler),
            detail.strip()[:300],
        )
        return None


def _key(compiler: list[str]) -> str:
    """What a compiled file depends on, as a hash."""
    version = subprocess.run(
        [*compiler, "--version"], capture_output=True, text=True, check=True, timeout=TIMEOUT_S
    ).stdout
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    processor = sorted({line for line in lines if line.startswith(("flags", "Features", "model name", "CPU part"))})
    parts = (SOURCE.read_text(), *FLAGS, *compiler, version, platform.machine(), *processor)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _cached(key: str) -> Path | None:
    """The file of this key whose content is what was compiled, if there is one."""
    for path in sorted(paths.cache().glob(f"kernels-{key}-*.so")):
        if path.stem.rpartition("-")[2] == _digest(path):
            mark_used(path)
            return path
    return None


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def _compiled(compiler: list[str], key: str) -> Path:
    """A new file in the cache folder, or, where that cannot be written, in a folder that lasts as long as the process."""
    made = Path(_temporary().name) / "kernels.so"
    command = [compiler[0], *FLAGS, *compiler[1:], str(SOURCE), "-o", str(made)]
    try:
        subprocess.run([*command, "-fopenmp"], check=True, capture_output=True, text=True, timeout=TIMEOUT_S)
    except subprocess.CalledProcessError:  # no OpenMP: one thread
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=TIMEOUT_S)
    kept = paths.cache() / f"kernels-{key}-{_digest(made)}.so"
    try:
        with atomically(kept) as partial:  # other processes may compile it now, too
            shutil.copyfile(made, partial)
        make_room(kept)
    except OSError:
        return made
    return kept


@cache
def _temporary() -> "tempfile.TemporaryDirectory[str]":
    return tempfile.TemporaryDirectory(prefix="paretune-")


def _load(path: Path) -> ctypes.CDLL:
    library = ctypes.CDLL(str(path))
    pointer, whole, thread_count = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int
    forward, backward = library.batch_last_forward, library.batch_last_backward
    forward.argtypes = [pointer, whole, pointer, whole, pointer, whole, whole, pointer, whole, whole, thread_count]
    backward.argtypes = [
        pointer, whole, pointer, whole, pointer, whole, whole, whole, pointer, whole, pointer, whole, thread_count,
    ]  # fmt: skip
    forward.restype = backward.restype = None
    return library
