"""A process that records one training after another, beside others that do the same."""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf
from pathlib import Path

from filelock import FileLock, Timeout

from studies.curves.draws import Draw, count_known, draw
from studies.curves.question import Question
from studies.curves.rows import Row, RowFile
from studies.curves.training import load_once, record

CLAIMS = ".claims"
WAIT_S = 1.0
# Processes that may die over one training before it is a row that says so.
MOST_DEATHS = 3


class OverError(Exception):
    """The time is up, or whoever started this process is gone."""


@dataclass(frozen=True)
class Job:
    """What a process has to do: the ``trainings`` first ones over ``data``, in a file
    of ``folder``, until ``ends_s`` (seconds since 1970) or while the process ``parent``
    lives.

    ``jobs`` processes share the work.
    """

    data: str
    trainings: int
    folder: Path
    overrides: tuple[str, ...] = ()
    ends_s: float = inf
    jobs: int = 1
    parent: int | None = None

    @property
    def file(self) -> RowFile:
        """The file of the rows."""
        return RowFile(self.folder / f"{self.data}.csv")

    def check(self) -> None:
        """Raise :class:`OverError` if the work is to end."""
        if time.time() >= self.ends_s:
            raise OverError("the time is up")
        if self.parent is not None and os.getppid() != self.parent:
            raise OverError("the command that started this process is gone")


def work(job: Job) -> None:
    """Record trainings until all are there; raises :class:`OverError` before if the
    time is up.
    """
    question = Question(job.data, *job.overrides)
    load_once(question)  # without images there is nothing to record
    progress = _Progress(job)
    while True:
        job.check()
        rows = job.file.read()
        missing = [number for number in range(job.trainings) if number not in rows]
        if not missing:
            return
        with _claim(job, missing, rows) as claim:
            if claim is None:
                time.sleep(WAIT_S)
                continue
            row = _record(draw(claim.number, question, rows), question, job, claim)
            job.file.append(row)
            claim.forget()
            progress.tell(row, len(missing) - 1)


@dataclass(frozen=True)
class Claim:
    """The right to record training ``number``, which ends with the process.

    ``deaths`` is a file with a byte for each process that had it and has not ended
    well.
    """

    number: int
    deaths: Path

    def count_deaths(self) -> int:
        """How many processes died over it."""
        return self.deaths.stat().st_size if self.deaths.exists() else 0

    def begin(self) -> None:
        """Count this process, until it ends well."""
        with self.deaths.open("a") as stream:
            stream.write("x")

    def forget(self) -> None:
        """Drop the count: the process ended well."""
        self.deaths.unlink(missing_ok=True)


@contextmanager
def _claim(
    job: Job, missing: list[int], rows: Mapping[int, Row]
) -> Iterator[Claim | None]:
    """The first training that nobody else is recording; ``None`` as long as it has to
    know rows that are not there yet.
    """
    folder = job.folder / CLAIMS
    folder.mkdir(parents=True, exist_ok=True)
    for number in missing:
        if missing[0] < count_known(number):
            break
        lock = FileLock(folder / f"{job.data}-{number}.lock", timeout=0)
        try:
            lock.acquire()
        except Timeout:
            continue
        try:
            # Another process may have recorded it since the rows were read.
            if number not in job.file.read():
                yield Claim(number, folder / f"{job.data}-{number}.deaths")
                return
        finally:
            lock.release()
        break
    yield None


def _record(drawn: Draw, question: Question, job: Job, claim: Claim) -> Row:
    deaths = claim.count_deaths()
    if deaths >= MOST_DEATHS:
        settings = question.write_settings(drawn.params)
        return Row(
            number=drawn.number,
            kind=drawn.kind,
            parent=drawn.parent,
            seed=drawn.seed,
            settings=settings,
            costs=question.measure(drawn.params),
            failed=f"{deaths} processes died over it",
        )
    claim.begin()
    try:
        return record(drawn, question, job.check)
    except BaseException:
        # An interrupt, or a disk that is full: no fault of the training.
        claim.forget()
        raise


class _Progress:
    """Tells of each training in a line, with the time that is left."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.taken_s: list[float] = []

    def tell(self, row: Row, left: int) -> None:
        """Tell of ``row``; ``left`` trainings are to be recorded."""
        self.taken_s.append(row.wall_s)
        mean_s = sum(self.taken_s) / len(self.taken_s)
        left_s = left * mean_s / self.job.jobs
        left_s = min(left_s, self.job.ends_s - time.time())
        outcome = row.failed or f"F1 {row.f1:.4f}"
        family = row.settings.get("model", "")
        params = row.costs.get("params", 0)
        print(
            f"{self.job.data} {row.number} ({row.kind}): {family} {params:,} params, "
            f"{outcome}, {row.cpu_s:.1f} s of CPU, {row.wall_s:.1f} s | "
            f"{self.job.trainings - left:,} of {self.job.trainings:,}, "
            f"{_format_duration(left_s)} left",
            flush=True,
        )


def _format_duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"
