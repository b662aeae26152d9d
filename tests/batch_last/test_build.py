"""How the kernels come to a machine: compiled once, kept, and never damaged."""

import os
import shutil
import subprocess
import sys

import pytest

from paretune.batch_last import LANES, Library, build, build_library, find_compiler
from paretune.batch_last.operations import RECORD

pytestmark = pytest.mark.skipif(not shutil.which("g++"), reason="needs g++")

QUICK = ["g++", "-O0"]  # a quarter of the time; what is compiled is the same


def test_they_are_compiled_once(tmp_path, monkeypatch):
    first = build_library(QUICK, tmp_path)
    monkeypatch.setattr(build, "_compile", lambda *_: pytest.fail("compiled again"))
    again = build_library(QUICK, tmp_path)

    assert first.is_new
    assert not again.is_new
    assert again.path == first.path
    assert first.path.name.startswith("kernels-")


@pytest.mark.parametrize("content", [b"", b"\x7fELF damaged"])
def test_a_damaged_file_is_replaced(tmp_path, content):
    kept = build_library(QUICK, tmp_path).path
    kept.unlink()  # this process has loaded nothing of it, another one may have
    kept.write_bytes(content)

    Library(build_library(QUICK, tmp_path).path)
    assert kept.read_bytes() != content


def test_processes_that_compile_at_once_all_have_them(tmp_path):
    code = (
        "import sys; from paretune.batch_last import *; Library(build_library(['g++', "
        "'-O0'], Path(sys.argv[1])).path)"
    )
    command = [sys.executable, "-c", f"from pathlib import Path; {code}", str(tmp_path)]
    running = [subprocess.Popen(command) for _ in range(3)]

    assert [process.wait() for process in running] == [0, 0, 0]
    assert len(list(tmp_path.iterdir())) == 1


def test_a_folder_that_cannot_be_written_costs_a_compilation(tmp_path):
    (tmp_path / "file").write_text("no folder")
    built = build_library(QUICK, tmp_path / "file" / "below")

    assert not built.is_new
    assert Library(built.path).lanes == LANES


def test_a_compilation_that_fails_leaves_nothing_behind(tmp_path):
    with pytest.raises(subprocess.CalledProcessError):
        build_library(["g++", "--no-such-flag"], tmp_path)

    assert list(tmp_path.glob("*")) == []


def test_a_change_of_any_source_is_another_library(tmp_path, monkeypatch):
    """Headers are read by the compiler, too."""
    before = build_library(QUICK, tmp_path / "kept")
    sources = tmp_path / "kernels"
    shutil.copytree(build.SOURCES, sources)
    (sources / "mean.h").write_text((sources / "mean.h").read_text() + "// changed\n")
    monkeypatch.setattr(build, "SOURCES", sources)

    assert build_library(QUICK, tmp_path / "kept").path != before.path


def test_operations_are_written_as_the_kernels_read_them(tmp_path):
    library = Library(build_library(QUICK, tmp_path).path)

    assert library.op_bytes == RECORD.itemsize
    assert library.lanes == LANES


@pytest.mark.parametrize(
    ("named", "expected"),
    [("", ["g++"]), ("clang++", ["clang++"]), ("g++ -O2 -g", ["g++", "-O2", "-g"])],
)
def test_the_compiler_is_the_one_that_is_named(monkeypatch, named, expected):
    monkeypatch.setenv("CXX", named)

    assert find_compiler() == expected


def test_without_a_compiler_there_is_none(monkeypatch):
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setitem(os.environ, "PATH", "")

    assert find_compiler() == []
