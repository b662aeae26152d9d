"""Run the parts named on the command line (all of them by default) and write ``bench/results.json``."""

import json
import platform
import sys
from datetime import date
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import torch

PARTS = (
    "throughput",
    "batch_last",
    "augmentation",
    "ranking",
    "asks",
    "real_asks",
    "search",
    "optimizers",
    "tricks",
    "trials",
    "gap",
    "workers",
    "memory",
    "startup",
    "kills",
    "starts",
    "racing",
    "replay",
    "peer",
    "report",
    "cluster",
)
RESULTS = Path(__file__).parent / "results.json"


def hardware() -> dict[str, object]:
    """The processor and the versions that the figures belong to."""
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "")
    flags = next((line for line in open("/proc/cpuinfo") if line.startswith("flags")), "").split()
    libraries = ("torch", "pytorch-lightning", "optuna", "mlflow", "hydra-core")
    return {
        "date": date.today().isoformat(),
        "cpu": cpu or platform.processor(),
        "instructions": [flag for flag in flags if flag in ("avx512f", "avx512_bf16", "amx_bf16", "avx2")],
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        **{library: version(library) for library in libraries},
    }


def main(parts: list[str]) -> None:
    """Run each part and keep the figures of the others that an earlier run left."""
    results = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    for part in parts or PARTS:
        print(f"== {part}", flush=True)
        figures = import_module(f"bench.{part}").run()
        results[part] = {"hardware": hardware(), "figures": figures}
        print(json.dumps(figures, indent=2), flush=True)
        RESULTS.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
