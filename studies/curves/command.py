"""``python -m studies curves``: records trainings, in processes that share the work."""

import argparse
import multiprocessing
import os
import signal
import sys
import time
import warnings
from collections.abc import Sequence
from dataclasses import replace
from math import inf
from multiprocessing.context import SpawnContext, SpawnProcess
from pathlib import Path
from typing import NoReturn

from studies.curves import FOLDER
from studies.curves.work import Job, OverError, work

LOOKED_EVERY_S = 1.0
# Of processes in one command: something is wrong with the machine, or the code.
MOST_DEATHS = 20
HOUR_S = 3600


def main(arguments: Sequence[str]) -> None:
    """Record what is missing of ``--trainings``."""
    options = _read(arguments)
    # Before torch is imported, in the processes that inherit it.
    os.environ["OMP_NUM_THREADS"] = "1"
    signal.signal(signal.SIGTERM, _leave)
    job = Job(
        data=options.data,
        trainings=options.trainings,
        folder=options.folder.resolve(),
        overrides=tuple(options.set),
        ends_s=time.time() + options.hours * HOUR_S,
        jobs=options.jobs,
        parent=os.getpid(),
    )
    share(job)
    rows = job.file.read()
    print(f"{len(rows):,} of {job.trainings:,} trainings are in {job.file.path}")


def _read(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m studies curves", description=__doc__)
    parser.add_argument("--data", default="mnist", help="option of the group data")
    parser.add_argument(
        "--trainings", type=int, default=1000, help="how many there are to be in all"
    )
    parser.add_argument("--jobs", type=int, default=1, help="processes, a core each")
    parser.add_argument(
        "--hours", type=float, default=inf, help="the command ends after so many"
    )
    parser.add_argument("--folder", type=Path, default=FOLDER, help="of <data>.csv")
    parser.add_argument(
        "--set", action="append", default=[], help="a further override of the sweep"
    )
    return parser.parse_args(arguments)


def share(job: Job) -> None:
    """Have ``job.jobs`` processes do the work; one that dies is replaced."""
    context = multiprocessing.get_context("spawn")
    running = [_start(context, job) for _ in range(job.jobs)]
    deaths = 0
    while running:
        time.sleep(LOOKED_EVERY_S)
        alive = [process for process in running if process.is_alive()]
        died = [process for process in running if process.exitcode]
        deaths += len(died)
        if deaths > MOST_DEATHS:
            raise SystemExit(f"{deaths} processes died; the last ones said why")
        running = alive + [_start(context, job) for _ in died]


def _start(context: SpawnContext, job: Job) -> SpawnProcess:
    process = context.Process(target=_work, args=(job,), daemon=True)
    process.start()
    return process


def _work(job: Job) -> None:
    """What a process does: see :func:`~studies.curves.work.work`."""
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGTERM, _leave)
    try:
        work(replace(job, parent=os.getppid()))
    except OverError as over:
        print(f"{job.data}: {over}", flush=True)
    except KeyboardInterrupt:
        sys.exit(0)


def _leave(number: int, frame: object) -> NoReturn:
    raise SystemExit(128 + number)
