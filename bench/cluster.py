"""Many workers on one PostgreSQL with an instant objective: what the study itself costs. Needs Debian's postgresql, and root."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from optuna.distributions import IntDistribution
from optuna.samplers import RandomSampler
from optuna.trial import create_trial

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from cluster.services import Postgres
from paretune.search.study import open_study

WORKERS = (1, 8, 64)
SECONDS = 30
SIZES = (1_000, 10_000)
LOOP = """
import sys, time
from bench.cluster import asks
print(asks(*sys.argv[1:3], float(sys.argv[3])))
"""


def asks(url: str, name: str, until_s: float) -> str:
    """One worker's loop: ask a random point, tell at once; its asks' and tells' seconds, summed, and their number."""
    study = open_study(name, url, ["minimize", "maximize"], RandomSampler())
    print("ready", flush=True)
    sys.stdin.readline()
    n, ask_s, tell_s = 0, 0.0, 0.0
    while time.time() < until_s:
        began_s = time.perf_counter()
        trial = study.ask()
        widths = [trial.suggest_int(f"width{k}", 2, 64, log=True) for k in range(5)]
        asked_s = time.perf_counter()
        study.tell(trial, [sum(widths), 0.5])
        n, ask_s, tell_s = n + 1, ask_s + asked_s - began_s, tell_s + time.perf_counter() - asked_s
    return f"{n} {ask_s} {tell_s}"


def run() -> dict[str, object]:
    """Trials per second by number of workers, and the median seconds of an ask in studies of ``SIZES`` trials."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        postgres = Postgres(Path(folder) / "postgres")
        os.environ["PGPASSFILE"] = str(postgres.passfile)
        postgres.start()
        try:
            return {"workers": {n: _crowd(postgres.url, n) for n in WORKERS}, "ask_s": _latency(postgres.url)}
        finally:
            postgres.stop()


def _crowd(url: str, workers: int) -> dict[str, float]:
    name = f"crowd{workers}"
    open_study(name, url, ["minimize", "maximize"], RandomSampler())
    command = [sys.executable, "-W", "ignore", "-c", LOOP, url, name]
    # all have imported what they need before the clock starts
    until_s = time.time() + 15 + 2 * workers + SECONDS
    crowd = [
        subprocess.Popen([*command, str(until_s)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(workers)
    ]
    for worker in crowd:
        assert worker.stdout
        worker.stdout.readline()
    began_s = time.time()
    for worker in crowd:
        assert worker.stdin
        worker.stdin.write("go\n")
        worker.stdin.flush()
    told = [worker.communicate()[0].split() for worker in crowd]
    seconds = until_s - began_s
    n = sum(int(one[0]) for one in told)
    figures = {
        "trials_per_s": n / seconds,
        "ask_ms": 1e3 * sum(float(o[1]) for o in told) / n,
        "tell_ms": 1e3 * sum(float(o[2]) for o in told) / n,
    }
    print(workers, figures, flush=True)
    return {key: round(value, 1) for key, value in figures.items()}


def _latency(url: str) -> dict[int, float]:
    """The median of 50 asks and draws of a worker that knows a study of so many trials."""
    study = open_study("latency", url, ["minimize", "maximize"], RandomSampler())
    found = {}
    space = {f"width{k}": IntDistribution(2, 64, log=True) for k in range(5)}
    one = create_trial(params=dict.fromkeys(space, 8), distributions=space, values=[40, 0.5])
    for size in SIZES:
        study.add_trials([one] * (size - len(study.get_trials(deepcopy=False))))
        seconds = []
        for _ in range(50):
            began_s = time.perf_counter()
            trial = study.ask()
            for name, distribution in space.items():
                trial.suggest_int(name, distribution.low, distribution.high, log=True)
            seconds.append(time.perf_counter() - began_s)
            study.tell(trial, [40, 0.5])
        found[size] = round(median(seconds), 4)
        print(size, found[size], flush=True)
    return found
