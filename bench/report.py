"""``paretune pareto`` on 10,000 synthetic trials: seconds, memory, and whether two
writers disturb it.
"""

import random
import resource
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.command import PARETUNE
from paretune.front import Point
from paretune.tracking import RunRecorder, Store, SweepRecorder
from paretune.tracking.runs import find_trials

TRIALS = 10_000
WRITERS = 2
FAMILIES = ("conv", "squeeze", "separable")


def run(trials: int = TRIALS) -> dict[str, object]:
    """Seconds to read all runs through MLflow alone, and of the whole command; its peak
    memory; its exit while two write.
    """
    with TemporaryDirectory() as folder:
        store = Store(f"sqlite:///{folder}/mlflow.db", f"{folder}/artifacts")
        sweep = SweepRecorder({"uri": store.uri, "artifacts": store.artifacts})
        sweep.start("many", {"cap": 50_000})
        for number in range(trials):
            _write(store, number)
            if number % 1000 == 999:
                print(number + 1, flush=True)
        started_s = time.perf_counter()
        find_trials(store, "many")
        read_s = time.perf_counter() - started_s
        alone = _command(folder)
        with ThreadPoolExecutor(WRITERS) as pool:
            writers = [
                pool.submit(_writer, folder, trials * (k + 1)) for k in range(WRITERS)
            ]
            beside = _command(folder)
            written = [writer.result() for writer in writers]
        return {
            "trials": trials,
            "search_runs_s": round(read_s, 1),
            "alone": alone,
            "beside_two_writers": beside,
            "writers": written,
        }


def _write(store: Store, number: int) -> None:
    """A trial with the tags, parameters and metrics that a real one has; every tenth
    was raced, every hundredth failed.
    """
    draw = random.Random(number)
    family, widths = draw.choice(FAMILIES), [draw.randint(2, 32) for _ in range(5)]
    params = sum(9 * a * b for a, b in zip([1, *widths], [*widths, 10], strict=True))
    f1 = 1 - 0.6 * params**-0.4 * draw.uniform(1, 2)
    config = {
        "model": {
            "_target_": f"paretune.models.{family}.{family.title()}",
            "widths": widths,
        },
        "cap": {"max_params": 50_000},
        "seed": 0,
    }
    point = Point(
        costs={"params": params},
        f1=f1,
        accuracy=f1,
        loss=1 - f1,
        seconds=60.0,
        family=family,
        data="mnist",
        best_epoch=9,
        config=config,
    )
    tags = {
        "kind": "trial",
        "sweep": "many",
        "trial": str(number),
        "attempt": "0",
        "data": "mnist",
    }
    searched = {f"model.widths.{k}": str(width) for k, width in enumerate(widths)} | {
        "optimizer.lr": f"{draw.uniform(0.001, 0.03):.5f}"
    }
    recorder = RunRecorder(store, f"many-{number:05d}", tags=tags, searched=searched)
    recorder.__enter__()
    recorder.start(point)
    recorder.tag("layers", f"{family} {widths}")
    recorder.finish(point, {"images_per_s": 1000.0}, [])
    state = (
        "failed" if number % 100 == 0 else "raced" if number % 10 == 0 else "complete"
    )
    recorder.end("FAILED" if state == "failed" else "FINISHED", {"state": state})


def _command(folder: str) -> dict[str, object]:
    started_s = time.perf_counter()
    command = [
        *PARETUNE,
        "pareto",
        "many",
        "--store",
        folder,
        "--out",
        f"{folder}/out",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - started_s
    peak_mb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    size_mb = Path(folder, "out/report.html").stat().st_size / 1e6
    return {
        "exit": done.returncode,
        "s": round(seconds, 1),
        "peak_mb": round(peak_mb),
        "page_mb": round(size_mb, 1),
    }


def _writer(folder: str, first: int) -> int:
    """Another process that writes trials for ten seconds; returns its exit code."""
    code = (
        "import time; from bench.report import _write; from paretune.tracking import "
        f"Store\nstore = Store('sqlite:///{folder}/mlflow.db', "
        f"'{folder}/artifacts')\nend = time.time() + 10\nn = {first}\nwhile "
        "time.time() < end:\n    _write(store, n); n += 1"
    )
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], check=False
    ).returncode
