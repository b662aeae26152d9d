"""A sweep of 20,000 trials: what going on with it costs, and its report. The trials are
written straight into the tables of both stores.
"""

import json
import os
import random
import re
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, suppress
from math import nan
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID

import psutil

from bench.command import PARETUNE

TRIALS = 20_000
SWEEP = "scale"
COMMAND = (
    *PARETUNE,
    "train",
    "-m",
    f"name={SWEEP}",
    "data=digits",
    "model=conv",
    "trainer.max_epochs=1",
    "trainer.autotune=false",
    "cap.max_params=9000",
)
STUDY_TABLES = (
    "trial_params",
    "trial_values",
    "trial_user_attributes",
    "trial_system_attributes",
    "trial_heartbeats",
)
STORE_TABLES = ("tags", "params", "metrics", "latest_metrics")


def run(trials: int = TRIALS, folder: str | None = None) -> dict[str, object]:
    """Seconds until a resumed sweep of so many trials begins one more and until it ends
    after that; its report's time and memory.
    """
    with TemporaryDirectory() as temporary:
        store = Path(folder or temporary)
        if not (store / "optuna.db").exists():
            make(store, trials)
        return {
            "trials": trials,
            "resume": _resume(store, trials + 1),
            "pareto": _pareto(store),
        }


def make(store: Path, trials: int) -> None:
    """Run two real trials, and copy the first one with other draws and scores until
    there are so many.
    """
    _sweep(store, 2)
    draws = [_draw(number) for number in range(2, trials)]
    with closing(sqlite3.connect(store / "optuna.db")) as study:
        _copy_trials(study, draws)
        study.commit()
    with closing(sqlite3.connect(store / "mlflow.db")) as runs:
        _copy_runs(runs, draws)
        runs.commit()


def _draw(number: int) -> dict[str, float]:
    """A trial's number, parameters and score."""
    rng = random.Random(number)
    params = rng.randint(200, 9000)
    return {
        "number": number,
        "params": params,
        "f1": 1 - 0.6 * params**-0.4 * rng.uniform(1, 2),
    }


def _copy_trials(study: sqlite3.Connection, draws: list[dict[str, float]]) -> None:
    (trial_id,) = study.execute(
        "SELECT trial_id FROM trials WHERE number = 0"
    ).fetchone()
    columns, row = _row(study, "trials", f"trial_id = {trial_id}")
    ids = {int(draw["number"]): 10 + int(draw["number"]) for draw in draws}
    _insert(
        study, "trials", columns, [row | {"trial_id": ids[n], "number": n} for n in ids]
    )
    for table in STUDY_TABLES:
        key = _columns(study, table)[0]
        for one in _rows(study, table, f"trial_id = {trial_id}"):
            del one[key]
            copies = [
                one
                | {"trial_id": ids[int(draw["number"])]}
                | _of_trial(table, one, draw)
                for draw in draws
            ]
            _insert(study, table, list(one), copies)


def _of_trial(
    table: str, row: dict[str, object], draw: dict[str, float]
) -> dict[str, object]:
    """What differs from trial to trial in a row of a study's table."""
    if table == "trial_values":
        return {"value": draw["params"] if row["objective"] == 0 else draw["f1"]}
    if table == "trial_params":
        rng = random.Random(f"{draw['number']} {row['param_name']}")
        return {
            "param_value": _drawn_from(json.loads(str(row["distribution_json"])), rng)
        }
    return {}


def _drawn_from(distribution: dict[str, Any], rng: random.Random) -> float:
    """A value as Optuna stores it."""
    attributes = distribution["attributes"]
    if "choices" in attributes:
        return float(rng.randrange(len(attributes["choices"])))
    if distribution["name"] == "IntDistribution":
        return float(rng.randint(attributes["low"], attributes["high"]))
    return rng.uniform(attributes["low"], attributes["high"])


def _copy_runs(runs: sqlite3.Connection, draws: list[dict[str, float]]) -> None:
    (run_id,) = runs.execute(
        "SELECT run_uuid FROM tags WHERE key = 'trial' AND value = '0'"
    ).fetchone()
    columns, row = _row(runs, "runs", f"run_uuid = '{run_id}'")
    ids = {int(draw["number"]): UUID(int=int(draw["number"])).hex for draw in draws}
    _insert(
        runs,
        "runs",
        columns,
        [row | {"run_uuid": ids[n], "name": f"{SWEEP}-{n:05d}"} for n in ids],
    )
    for table in STORE_TABLES:
        for one in _rows(runs, table, f"run_uuid = '{run_id}'"):
            copies = [
                one | {"run_uuid": ids[int(draw["number"])]} | _of_run(one, draw)
                for draw in draws
            ]
            _insert(runs, table, list(one), copies)


def _of_run(row: dict[str, object], draw: dict[str, float]) -> dict[str, object]:
    """What differs from run to run in a row of a tracking store's table."""
    values = {
        "trial": str(int(draw["number"])),
        "front": "false",
        "n_params": draw["params"],
        "val_f1": draw["f1"],
    }
    return {"value": values[row["key"]]} if row["key"] in values else {}


def _columns(connection: sqlite3.Connection, table: str) -> list[str]:
    return [column[1] for column in connection.execute(f"PRAGMA table_info({table})")]


def _rows(
    connection: sqlite3.Connection, table: str, where: str
) -> list[dict[str, object]]:
    names = _columns(connection, table)
    return [
        dict(zip(names, row, strict=True))
        for row in connection.execute(f"SELECT * FROM {table} WHERE {where}")
    ]


def _row(
    connection: sqlite3.Connection, table: str, where: str
) -> tuple[list[str], dict[str, object]]:
    (row,) = _rows(connection, table, where)
    return list(row), row


def _insert(
    connection: sqlite3.Connection,
    table: str,
    columns: list[str],
    rows: list[dict[str, object]],
) -> None:
    names, marks = ", ".join(columns), ", ".join(f":{column}" for column in columns)
    connection.executemany(f"INSERT INTO {table} ({names}) VALUES ({marks})", rows)


def _sweep(store: Path, n_trials: int) -> list[tuple[float, float, str]]:
    """The lines of the sweep's command, each with the seconds since the command's start
    and its processor time by then.
    """
    started_s = time.perf_counter()
    env = os.environ | {
        "PARETUNE_STORE": str(store),
        "OMP_NUM_THREADS": "1",
        "PYTHONUNBUFFERED": "1",
    }
    command = [*COMMAND, f"hydra.sweeper.n_trials={n_trials}"]
    process = psutil.Popen(
        command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    lines = [
        (time.perf_counter() - started_s, _processor_s(process), line)
        for line in process.stdout
    ]
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, lines
    return [
        *lines,
        (time.perf_counter() - started_s, usage.ru_utime + usage.ru_stime, "end"),
    ]


def _processor_s(process: psutil.Popen) -> float:
    with suppress(psutil.Error):
        times = process.cpu_times()
        return float(times.user + times.system)
    return nan


def _resume(store: Path, n_trials: int) -> dict[str, float]:
    """What lies before the first trial begins, and after the last one ends; the same of
    a sweep of one trial.
    """
    with TemporaryDirectory() as new:
        alone = _begin_and_end(_sweep(Path(new), 1))
    after = _begin_and_end(_sweep(store, n_trials))
    return {
        **after,
        **{f"{name}_of_a_new_sweep": seconds for name, seconds in alone.items()},
    }


def _begin_and_end(lines: list[tuple[float, float, str]]) -> dict[str, float]:
    begun = next(line for line in lines if re.search(r"trial \d+: [a-z]", line[2]))
    done = next(line for line in lines if re.search(r"trial \d+: [\d,]+, ", line[2]))
    figures = {
        "begins_s": begun[0],
        "begins_processor_s": begun[1],
        "ends_s": lines[-1][0] - done[0],
        "ends_processor_s": lines[-1][1] - done[1],
    }
    return {name: round(seconds, 1) for name, seconds in figures.items()}


def _pareto(store: Path) -> dict[str, float]:
    command = [
        *PARETUNE,
        "pareto",
        SWEEP,
        "--store",
        str(store),
        "--out",
        str(store / "out"),
    ]
    started_s = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0
    return {
        "s": round(time.perf_counter() - started_s, 1),
        "processor_s": round(usage.ru_utime + usage.ru_stime, 1),
        "peak_mb": round(usage.ru_maxrss / 1024),
    }


if __name__ == "__main__":
    print(
        json.dumps(
            run(
                int(sys.argv[1]) if sys.argv[1:] else TRIALS,
                sys.argv[2] if sys.argv[2:] else None,
            ),
            indent=1,
        )
    )
