"""How long a person waits for the first line."""

import subprocess
import sys
from time import perf_counter

ROUNDS = 3
WORKER = (
    "import paretune.training.fit, paretune.tracking, optuna, paretune.models, "
    "paretune.data.mnist"
)


def run() -> dict[str, float]:
    """Seconds, best of three: the list of commands, ``--help`` of two, and the imports
    of a worker.
    """
    return {
        "paretune_s": _best_s(["-m", "paretune"]),
        "train_help_s": _best_s(["-m", "paretune", "train", "--help"]),
        "pareto_help_s": _best_s(["-m", "paretune", "pareto", "--help"]),
        "worker_imports_s": _best_s(["-c", WORKER]),
    }


def _best_s(arguments: list[str]) -> float:
    times = []
    for _ in range(ROUNDS):
        started_s = perf_counter()
        subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
        times.append(perf_counter() - started_s)
    return round(min(times), 2)
