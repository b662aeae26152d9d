"""Runs parts of a package by their names, and keeps their figures beside the hardware
they belong to.
"""

import json
import platform
from collections.abc import Sequence
from datetime import date
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import torch

LIBRARIES = ("torch", "pytorch-lightning", "optuna", "mlflow", "hydra-core")
INSTRUCTIONS = ("avx512f", "avx512_bf16", "amx_bf16", "avx2")


def hardware() -> dict[str, object]:
    """The processor and the versions that the figures belong to."""
    cpuinfo = Path("/proc/cpuinfo").read_text().splitlines()
    cpu = next(
        (
            line.split(":")[1].strip()
            for line in cpuinfo
            if line.startswith("model name")
        ),
        "",
    )
    flags = next((line.split() for line in cpuinfo if line.startswith("flags")), [])
    return {
        "date": date.today().isoformat(),
        "cpu": cpu or platform.processor(),
        "instructions": [flag for flag in flags if flag in INSTRUCTIONS],
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        **{library: version(library) for library in LIBRARIES},
    }


def run_parts(package: str, parts: Sequence[str], file: Path) -> None:
    """Run each part and keep its figures in ``file``, with those of the others that an
    earlier run left.
    """
    results = json.loads(file.read_text()) if file.is_file() else {}
    for part in parts:
        print(f"== {part}", flush=True)
        figures = import_module(f"{package}.{part}").run()
        results[part] = {"hardware": hardware(), "figures": figures}
        print(json.dumps(figures, indent=2), flush=True)
        file.write_text(json.dumps(results, indent=2) + "\n")
