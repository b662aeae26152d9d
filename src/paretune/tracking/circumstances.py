"""What a run was made with: commit, versions, machine."""

import platform
import shutil
import subprocess
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

import torch

__all__ = ["circumstances"]

LIBRARIES = ("paretune", "torch", "pytorch-lightning", "optuna", "hydra-core", "mlflow")


@lru_cache(maxsize=1)
def circumstances() -> dict[str, str]:
    """Tags that say under which commit of the working folder (if it is one), versions and hardware a run was made."""
    commit = _commit()
    return {
        "versions": ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
        + f", python {platform.python_version()}",
        "hardware": _hardware(),
        **({"mlflow.source.git.commit": commit} if commit else {}),
    }


def _hardware() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").is_file() else []
    cpu = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return ", ".join([f"{cpu} ({torch.get_num_threads()} threads)", *gpus])


def _commit() -> str:
    if not shutil.which("git"):
        return ""
    asked = ["git", "rev-parse", "HEAD"]
    return subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
