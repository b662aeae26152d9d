"""Many workers on one PostgreSQL with an instant objective: what the study itself
costs. Needs Debian's postgresql, root and, for the comparison with Optuna's proxy,
``pip install grpcio``.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import optuna
from optuna.distributions import IntDistribution
from optuna.samplers import RandomSampler
from optuna.storages import GrpcStorageProxy
from sqlalchemy import create_engine, event, text

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from cluster.services import Postgres
from paretune.search.feasible_space import FeasibleSpace
from paretune.search.front_sampler import FrontSampler
from paretune.search.space import Space
from paretune.search.study import open_study
from server import free_port

WORKERS = (1, 8, 64)
SECONDS, ASKS = 30, 50
SIZES = (1_000, 10_000)
SPACE = {f"width{k}": IntDistribution(2, 64, log=True) for k in range(5)}
DIRECTIONS = ("minimize", "maximize")
LOOP = """
import sys
from bench.cluster import loop
print(loop(*sys.argv[1:3], float(sys.argv[3])))
"""
PROXY = """
import sys
from optuna.storages import RDBStorage, run_grpc_proxy_server
run_grpc_proxy_server(RDBStorage(sys.argv[1], engine_kwargs={"pool_size": 20}), host="127.0.0.1", port=int(sys.argv[2]))
"""


def run() -> dict[str, object]:
    """Trials per second by number of workers, with Optuna's proxy between them and the
    database too; and what an ask costs.
    """
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        postgres = Postgres(Path(folder) / "postgres")
        os.environ["PGPASSFILE"] = str(postgres.passfile)
        postgres.start()
        try:
            direct = {n: _crowd(postgres.url, f"crowd{n}", n) for n in WORKERS}
            with _proxy(postgres.url) as proxied:
                through = {n: _crowd(proxied, f"proxied{n}", n) for n in WORKERS}
            return {
                "direct": direct,
                "grpc_proxy": through,
                "ask": {n: _asks(postgres.url, n) for n in SIZES},
            }
        finally:
            postgres.stop()


def loop(where: str, name: str, until_s: float) -> str:
    """One worker: ask a random point, tell at once. Its trials, and the seconds of its
    asks and of its tells.
    """
    study = _study(where, name)
    print("ready", flush=True)
    sys.stdin.readline()
    n, ask_s, tell_s = 0, 0.0, 0.0
    while time.time() < until_s:
        began_s = time.perf_counter()
        trial = _ask(study)
        asked_s = time.perf_counter()
        study.tell(trial, [sum(trial.params.values()), 0.5])
        n, ask_s, tell_s = (
            n + 1,
            ask_s + asked_s - began_s,
            tell_s + time.perf_counter() - asked_s,
        )
    return f"{n} {ask_s} {tell_s}"


def _study(where: str, name: str) -> optuna.Study:
    if not where.startswith("grpc:"):
        return open_study(name, where, DIRECTIONS, RandomSampler())
    storage = GrpcStorageProxy(host="127.0.0.1", port=int(where.removeprefix("grpc:")))
    return optuna.create_study(
        study_name=name,
        storage=storage,
        directions=DIRECTIONS,
        sampler=RandomSampler(),
        load_if_exists=True,
    )


def _ask(study: optuna.Study) -> optuna.Trial:
    trial = study.ask()
    for name, distribution in SPACE.items():
        trial.suggest_int(name, distribution.low, distribution.high, log=True)
    return trial


@contextmanager
def _proxy(url: str) -> Iterator[str]:
    port = free_port()
    server = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", PROXY, url, str(port)]
    )
    GrpcStorageProxy(host="127.0.0.1", port=port).wait_server_ready(timeout=60)
    yield f"grpc:{port}"
    server.kill()
    server.wait()


def _crowd(where: str, name: str, workers: int) -> dict[str, float]:
    _study(where, name)
    command = [sys.executable, "-W", "ignore", "-c", LOOP, where, name]
    # All have imported what they need before the clock starts.
    until_s = time.time() + 15 + 2 * workers + SECONDS
    crowd = [
        subprocess.Popen(
            [*command, str(until_s)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
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
    n = sum(int(one[0]) for one in told)
    figures = {
        "trials_per_s": n / (until_s - began_s),
        "ask_ms": 1e3 * sum(float(one[1]) for one in told) / n,
        "tell_ms": 1e3 * sum(float(one[2]) for one in told) / n,
    }
    print(where, workers, figures, flush=True)
    return {key: round(value, 1) for key, value in figures.items()}


def _asks(url: str, size: int) -> dict[str, float]:
    """Medians of a worker alone on a study of ``size`` trials: opening it, an ask by
    chance and by the default sampler.
    """
    name = f"asks{size}"
    study = _study(url, name)
    _fill(url, study, size)
    began_s = time.perf_counter()
    study = _study(url, name)
    study.get_trials(deepcopy=False)
    figures = {"joining_s": time.perf_counter() - began_s}
    with _counted(study) as spent:
        figures |= {"random_ms": _median_ms(partial(_once, study))}
        figures |= {
            "statements": spent["statements"] / ASKS,
            "in_database_ms": 1e3 * spent["seconds"] / ASKS,
        }
    study.sampler = FrontSampler(
        FeasibleSpace(
            Space(common=SPACE),
            count=lambda params: sum(params.values()) ** 2,
            cap=30_000,
        )
    )
    figures |= {"front_ms": _median_ms(partial(_once, study), times=10)}
    print(size, figures, flush=True)
    return {key: round(value, 2) for key, value in figures.items()}


def _once(study: optuna.Study) -> float:
    began_s = time.perf_counter()
    trial = _ask(study)
    seconds = time.perf_counter() - began_s
    study.tell(trial, [sum(trial.params.values()) ** 2, 0.5])
    return seconds


def _median_ms(once: Callable[[], float], times: int = ASKS) -> float:
    return 1e3 * median(once() for _ in range(times))


@contextmanager
def _counted(study: optuna.Study) -> Iterator[dict[str, float]]:
    """Statements that the storage sends, and the seconds until they are answered."""
    engine: Any = study._storage._backend.engine  # type: ignore[attr-defined]
    spent = {"statements": 0.0, "seconds": 0.0, "began": 0.0}

    def before(*_: object) -> None:
        spent["began"] = time.perf_counter()

    def after(*_: object) -> None:
        spent["statements"] += 1
        spent["seconds"] += time.perf_counter() - spent["began"]

    event.listen(engine, "before_cursor_execute", before)
    event.listen(engine, "after_cursor_execute", after)
    yield spent
    event.remove(engine, "before_cursor_execute", before)
    event.remove(engine, "after_cursor_execute", after)


FILLING = (
    """INSERT INTO trials (number, study_id, state, datetime_start, datetime_complete)
       SELECT n, :study, 'COMPLETE', now(), now() FROM generate_series(1, :last) n""",
    """INSERT INTO trial_params (trial_id, param_name, param_value, distribution_json)
       SELECT t.trial_id, p.param_name, 2 + floor(random() * 62), p.distribution_json FROM trials t, trial_params p
       JOIN trials first ON first.trial_id = p.trial_id
       WHERE first.study_id = :study AND first.number = 0 AND t.study_id = :study AND t.number > 0""",
    """INSERT INTO trial_values (trial_id, objective, value, value_type)
       SELECT t.trial_id, 0, (SELECT sum(p.param_value) ^ 2 FROM trial_params p WHERE p.trial_id = t.trial_id), 'FINITE'
       FROM trials t WHERE t.study_id = :study AND t.number > 0""",
    """INSERT INTO trial_values (trial_id, objective, value, value_type)
       SELECT t.trial_id, 1, 1 - 2 / (v.value ^ 0.3 + random()), 'FINITE'
       FROM trials t JOIN trial_values v ON v.trial_id = t.trial_id AND v.objective = 0
       WHERE t.study_id = :study AND t.number > 0""",
)


def _fill(url: str, study: optuna.Study, size: int) -> None:
    """One trial asked and told, the others copied from it inside the database, with
    parameters by chance.
    """
    _once(study)
    with create_engine(url).begin() as connection:
        for statement in FILLING:
            connection.execute(
                text(statement), {"study": study._study_id, "last": size - 1}
            )
