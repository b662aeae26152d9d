"""The kernels of a user: in the cache folder, and done without where they cannot be
compiled.
"""

import logging
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from paretune.training.programs import load_kernels


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    # A quarter of the time; what is compiled is the same.
    monkeypatch.setenv("CXX", "g++ -O0")
    load_kernels.cache_clear()
    yield
    load_kernels.cache_clear()


needs_compiler = pytest.mark.skipif(not shutil.which("g++"), reason="needs g++")


@needs_compiler
def test_they_are_kept_in_the_cache_folder(tmp_path):
    assert load_kernels() is not None
    (kept,) = (tmp_path / "cache/paretune").iterdir()

    assert kept.match("kernels-*.so")


@needs_compiler
def test_a_file_that_is_kept_was_used_now(tmp_path):
    """The cache removes what was not used for longest."""
    load_kernels()
    (kept,) = (tmp_path / "cache/paretune").iterdir()
    os.utime(kept, (0, 0))
    load_kernels.cache_clear()
    load_kernels()

    assert kept.stat().st_mtime > 0


@needs_compiler
def test_a_new_file_makes_room_in_the_cache(tmp_path, monkeypatch):
    old = tmp_path / "cache/paretune/kernels-old.so"
    old.parent.mkdir(parents=True)
    old.write_bytes(b"old")
    monkeypatch.setenv("PARETUNE_CACHE_BYTES", "1")
    load_kernels()

    assert not old.exists()
    assert len(list(old.parent.iterdir())) == 1


@needs_compiler
def test_a_cache_that_cannot_be_written_costs_a_compilation(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))

    assert load_kernels() is not None


def test_without_a_compiler_there_are_none_and_a_line_says_so(monkeypatch, caplog):
    monkeypatch.delenv("CXX")
    monkeypatch.setenv("PATH", "")
    with caplog.at_level(logging.INFO):
        assert load_kernels() is None
    assert "no C++ compiler is on the PATH" in caplog.text


def test_a_compiler_that_fails_is_no_error(monkeypatch, caplog):
    monkeypatch.setenv("CXX", "/bin/false")

    assert load_kernels() is None
    assert "`/bin/false` cannot compile the batch-last kernels" in caplog.text


STEPS = """
import torch
from paretune import models
from paretune.training.programs import BatchLast
P = "paretune.models."
MODELS = (
    {"_target_": P + "squeeze.Squeeze", "widths": [3, 7, 2, 13, 5]},
    {"_target_": P + "inception.Inception", "norm": "batch"},
    {"_target_": P + "recurrent.Recurrent", "norm": "group"},
    {"_target_": P + "separable.Separable", "norm": "scalar"},
    {
        "_target_": P + "recurrent.Recurrent",
        "head": [],
        "depthwise_kernels": 5,
        "widen": "repeat",
        "class_maps": True,
    },
    {"_target_": P + "conv.Conv", "kernel_size": 5, "dropout": 0.2, "activation": "prelu"},
)
for model in MODELS:
    net = models.build(model).train()
    compiled = BatchLast(net, (1, 28, 28))
    for batch in (128, 37, 1 if model["_target_"].endswith("Conv") else 2):
        compiled(torch.randn(batch, 1, 28, 28)).sum().backward()
    net.eval()
    compiled(torch.randn(5, 1, 28, 28))
print("clean")
"""


@pytest.mark.slow
@needs_compiler
def test_the_address_sanitizer_finds_nothing():
    """Every kernel, with whole and partial blocks of images."""
    library = subprocess.run(
        ["g++", "-print-file-name=libasan.so"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    sanitized = {
        "CXX": "g++ -fsanitize=address -g",
        "LD_PRELOAD": library,
        "ASAN_OPTIONS": "detect_leaks=0",
    }
    command = [sys.executable, "-W", "ignore", "-c", STEPS]
    done = subprocess.run(
        command, env=os.environ | sanitized, capture_output=True, text=True, check=False
    )

    assert done.stdout.strip() == "clean", done.stderr[-3000:]


@pytest.mark.slow
@needs_compiler
@pytest.mark.skipif(platform.machine() != "x86_64", reason="needs an x86 processor")
@pytest.mark.parametrize("processor", ["haswell", "x86-64"], ids=["AVX2", "SSE"])
def test_narrower_vectors_give_the_same(processor):
    """What a processor without AVX512 runs: vectors of eight and of four floats."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        str(Path(__file__).with_name("test_programs.py")),
    ]
    narrow = os.environ | {"CXX": f"g++ -march={processor}"}
    done = subprocess.run(
        command, env=narrow, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout[-3000:]
    assert " passed" in done.stdout
