"""Under which commit, versions and hardware a run is made."""

import platform
import shutil
import subprocess
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

from paretune.tracking.schema import Tag

RECORDED_LIBRARIES = (
    "paretune",
    "torch",
    "pytorch-lightning",
    "optuna",
    "hydra-core",
    "mlflow",
)
CPU_INFO = Path("/proc/cpuinfo")


@lru_cache(maxsize=1)
def provenance() -> dict[str, str]:
    """Tags that say under which commit of the working folder (if it is one), versions
    and hardware a run is made.
    """
    versions = [f"{name} {version(name)}" for name in RECORDED_LIBRARIES]
    versions.append(f"python {platform.python_version()}")
    tags = {Tag.VERSIONS: ", ".join(versions), Tag.HARDWARE: _describe_hardware()}
    if commit := _find_commit():
        tags[Tag.COMMIT] = commit
    return tags


def _find_commit() -> str | None:
    """The commit of the working folder; ``None`` where there is no git or no commit."""
    if not shutil.which("git"):
        return None
    command = ["git", "rev-parse", "HEAD"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    if answer.returncode != 0:
        return None
    return answer.stdout.strip()


def _describe_hardware() -> str:
    import torch  # a reader of the store does without

    parts = [f"{_find_cpu()} ({torch.get_num_threads()} threads)"]
    for number in range(torch.cuda.device_count()):
        parts.append(torch.cuda.get_device_name(number))
    return ", ".join(parts)


def _find_cpu() -> str:
    """The name of the processor; its architecture where Linux does not tell."""
    if CPU_INFO.is_file():
        for line in CPU_INFO.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()
