"""Recording a training in the store, as it happens."""

import fcntl
import json
import logging
import re
import shutil
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from traceback import format_exception
from types import TracebackType
from typing import IO, Any

import yaml
from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from requests import HTTPError

from paretune.errors import Raced, StoreError, first_line
from paretune.front import Point
from paretune.tracking.front_tags import keep_front, parent_of, supersede
from paretune.tracking.store import Store, one_line, provenance, quoted

NO_NAME = r"[^\w\-. :/]"  # what MLflow takes in no name, such as the plus of ``+recipe``
KEY = "journal"  # tag that tells whether a run was made already


class RunWriter:
    """Writes one run; ``at_ms`` is when a step happened, milliseconds since 1970, which may be before it is written."""

    def __init__(self, store: Store, run_id: str = "") -> None:
        self.store, self.run_id = store, run_id

    def begin(
        self,
        at_ms: int,
        *,
        name: str,
        tags: Mapping[str, str],
        searched: Mapping[str, str],
        replaces: Sequence[str],
        key: str,
    ) -> None:
        """Make the run, below its sweep's if ``tags`` name one, and supersede runs with the same tags ``replaces``."""
        parent = parent_of(self.store, tags["sweep"]) if "sweep" in tags else None
        if parent is None:
            self.store.create()
        nesting = {"mlflow.parentRunId": parent.info.run_id} if parent else {}
        if replaces:
            for run in self.store.runs(" and ".join(f"tags.{same} = {quoted(tags[same])}" for same in replaces)):
                supersede(self.store, run, at_ms)
        found = self.store.runs(f"tags.{KEY} = '{key}'") if key else []
        if not found:
            own = {**tags, **nesting, "mlflow.runName": name, **provenance(), **({KEY: key} if key else {})}
            found = [self.store.client.create_run(self.store.experiment_id, start_time=at_ms, tags=own)]
        self.run_id = found[0].info.run_id
        params = [Param(re.sub(NO_NAME, "", drawn), str(value)) for drawn, value in searched.items()]
        self.store.client.log_batch(self.run_id, params=params)

    def start(self, at_ms: int, *, params: int, family: str, config: Mapping[str, Any]) -> None:
        """Log the count, and the config as a file and as a tag to query."""
        self.metrics(at_ms, values={"n_params": params})
        tags = [RunTag("family", family), RunTag("config", json.dumps(config))]
        self.store.client.log_batch(self.run_id, tags=tags)
        self.store.client.log_text(self.run_id, yaml.safe_dump(dict(config), sort_keys=False), "config.yaml")

    def metrics(self, at_ms: int, *, values: Mapping[str, float], step: int = 0) -> None:
        """Log figures."""
        metrics = [Metric(name, float(value), at_ms, step) for name, value in values.items()]
        self.store.client.log_batch(self.run_id, metrics=metrics)

    def tag(self, at_ms: int, *, name: str, value: str) -> None:
        """Add a tag."""
        self.store.client.set_tag(self.run_id, name, value)

    def attach(self, at_ms: int, *, files: Sequence[str]) -> None:
        """Add files."""
        for path in files:
            self.store.client.log_artifact(self.run_id, path)

    def end(self, at_ms: int, *, status: str, tags: Mapping[str, str], trial_of: str = "", trial: int = 0) -> None:
        """Close the run; a complete trial of the sweep ``trial_of`` joins its front."""
        self.store.client.log_batch(self.run_id, tags=[RunTag(name, value) for name, value in tags.items()])
        self.store.client.set_terminated(self.run_id, status, at_ms)
        if trial_of:
            keep_front(self.store, trial_of, trial)


log = logging.getLogger(__name__)

WAITS_S = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)  # between attempts while the server is away
OLD_S = 60.0
TRY_AGAIN = (408, 425, 429)  # of the answers that blame the request, those that time mends


class Absence:
    """When this process last found the server away, and when it asks again."""

    def __init__(self) -> None:
        self.failures, self.next_s = 0, 0.0

    def is_over(self) -> bool:
        """Whether it is time to ask again."""
        return time.monotonic() >= self.next_s

    def noticed(self, error: Exception) -> None:
        """Ask again later, each time after a longer wait."""
        if not self.failures:
            log.warning(
                "the tracking server is away (%s); runs are kept on disk until it is back", first_line(error)[:200]
            )
        self.next_s = time.monotonic() + WAITS_S[min(self.failures, len(WAITS_S) - 1)]
        self.failures += 1

    def ended(self) -> None:
        """The server answered."""
        if self.failures:
            log.info("the tracking server is back")
        self.failures, self.next_s = 0, 0.0


absence = Absence()


class Journal:
    """The steps of one run, in a folder that this process has locked; an empty ``key`` makes a new one.

    Raises ``BlockingIOError`` if another process has it, ``FileNotFoundError`` if it is gone.
    """

    def __init__(self, spool: Path, writer: RunWriter, key: str = "") -> None:
        self.key = key or uuid.uuid4().hex
        self.folder, self.writer = spool / self.key, writer
        made = self.folder if key else spool / f".new-{self.key}"  # nobody else looks at it before it is locked
        if not key:
            made.mkdir(parents=True)
        self.lock: IO[str] = (made / "lock").open("w")
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.lock.close()
            raise
        made.rename(self.folder)
        state = self.folder / "state.json"
        self.done = 0
        if state.is_file():
            self.done, self.writer.run_id = json.loads(state.read_text())

    def add(self, step: str, at_ms: int, arguments: Mapping[str, Any]) -> None:
        """Note a step, with copies of its files, and send what has not been sent."""
        arguments = {**arguments, **({"files": self._copied(arguments["files"])} if "files" in arguments else {})}
        with (self.folder / "steps.jsonl").open("a") as file:
            file.write(json.dumps([step, at_ms, arguments]) + "\n")
        self.send()

    def send(self) -> bool:
        """Send the steps that are left, in order; returns whether all are done.

        Raises :class:`~paretune.errors.StoreError` if the server refuses a step for good.
        """
        for step, at_ms, arguments in self._steps()[self.done :]:
            if not absence.is_over():
                return False
            try:
                with one_line(self.writer.store.uri):
                    getattr(self.writer, step)(at_ms, **arguments)
            except StoreError as error:
                if _for_good(error):
                    raise
                absence.noticed(error)
                return False
            absence.ended()
            self._cross_off()
        return True

    def close(self) -> None:
        """Remove the folder if all is sent, else leave it for the next process."""
        with self.lock:  # which is let go, also if a step is refused
            if self.send():
                gone = self.folder.with_name(f".done-{self.key}")  # at once, for all who look
                self.folder.rename(gone)
                shutil.rmtree(gone, ignore_errors=True)

    def _steps(self) -> list[Any]:
        path = self.folder / "steps.jsonl"
        lines = path.read_text().splitlines(keepends=True) if path.is_file() else []
        return [json.loads(line) for line in lines if line.endswith("\n")]  # a process may have died while it wrote

    def _cross_off(self) -> None:
        self.done += 1
        partial = self.folder / "state.partial"
        partial.write_text(json.dumps([self.done, self.writer.run_id]))
        partial.replace(self.folder / "state.json")

    def _copied(self, files: list[str]) -> list[str]:
        folder = self.folder / "files"
        folder.mkdir(exist_ok=True)
        return [str(shutil.copy(path, folder)) for path in files]


def write_leftovers(store: Store) -> int:
    """Send what processes that are gone left in the store's spool; returns how many runs are left there after that."""
    spool = store.spool_folder
    if spool is None or not spool.is_dir():
        return 0
    for old in spool.glob(".*"):  # of a process that was killed as it began or ended one
        with suppress(FileNotFoundError):
            if time.time() - old.stat().st_mtime > OLD_S:
                shutil.rmtree(old, ignore_errors=True)
    left = 0
    for folder in sorted(path for path in spool.glob("[!.]*")):
        try:
            journal = Journal(spool, RunWriter(store), folder.name)
        except (BlockingIOError, FileNotFoundError):  # its process lives, or has just ended it
            continue
        try:
            journal.close()
        except StoreError as error:
            log.warning("a run of %s is refused (%s); its steps stay there", folder, first_line(error)[:300])
        left += folder.is_dir()
    return left


def _for_good(error: StoreError) -> bool:
    """Whether the server understood and refuses, rather than not being there."""
    cause = error.__cause__
    status: int = 500
    if isinstance(cause, MlflowException):
        status = cause.get_http_status_code()  # type: ignore[no-untyped-call]
    elif isinstance(cause, HTTPError) and cause.response is not None:  # of an artifact, which goes its own way
        status = cause.response.status_code
    return isinstance(cause, PermissionError) or (400 <= status < 500 and status not in TRY_AGAIN)


LONGEST_TAG = 5000  # characters that every MLflow store takes


class RunRecorder(AbstractContextManager["RunRecorder"]):
    """One training as a run: a sweep's child where ``tags`` name a ``sweep``, else a run of its own.

    Leaving the block closes the run: FINISHED, KILLED after an interrupt, FAILED after any other exception; the tag ``state``
    tells complete and raced apart. Runs with the same tags ``replaces`` are of an earlier attempt, whose worker died.

    A server may be away for a while: what happens meanwhile is written when it is back (:mod:`paretune.tracking.journal`).
    """

    def __init__(
        self,
        store: Store,
        name: str,
        *,
        tags: Mapping[str, str],
        searched: Mapping[str, str],
        replaces: Sequence[str] = (),
    ) -> None:
        self.store, self.name = store, name
        self.tags, self.searched, self.replaces = dict(tags), dict(searched), replaces
        self.writer = RunWriter(store)
        self.journal: Journal | None = None
        self.best: dict[str, float] = {}

    @property
    def run_id(self) -> str:
        """The run's id; empty while the server has not made it."""
        return self.writer.run_id

    def __enter__(self) -> "RunRecorder":
        if self.store.spool_folder:
            write_leftovers(self.store)
            self.journal = Journal(self.store.spool_folder, self.writer)
        key = self.journal.key if self.journal else ""
        self._step(
            "begin", name=self.name, tags=self.tags, searched=self.searched, replaces=list(self.replaces), key=key
        )
        return self

    def start(self, point: Point) -> None:
        """Log what is known before training: the count, and the config as a file and as a tag to query."""
        self._step("start", params=point.params, family=point.family, config=dict(point.config))

    def epoch(self, number: int, scores: Mapping[str, float]) -> None:
        """Add a point to each curve ``epoch/<name>``."""
        self._step("metrics", values={f"epoch/{name}": value for name, value in scores.items()}, step=number)
        if scores.get("val_f1", 0.0) > self.best.get("val_f1", -1.0):
            self.best = {name: scores[name] for name in ("val_f1", "val_accuracy", "val_loss") if name in scores}
            self.best["best_epoch"] = number

    def tag(self, name: str, value: str) -> None:
        """Add a tag to the run."""
        self._step("tag", name=name, value=value)

    def finish(self, point: Point, more: Mapping[str, float], files: Sequence[Path]) -> None:
        """Log the final scores under their own names, and attach files."""
        scores = {"val_f1": point.f1, "val_accuracy": point.accuracy, "val_loss": point.loss}
        values = {**scores, "seconds": point.seconds, "best_epoch": point.best_epoch, **more}
        self._step("metrics", values=values)
        if files:
            self._step("attach", files=[str(path) for path in files])

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            is_trial = self.tags.get("kind") == "trial"
            front = {"trial_of": self.tags["sweep"], "trial": int(self.tags["trial"])} if is_trial else {}
            self._end("FINISHED", {"state": "complete"} | ({"front": "true"} if is_trial else {}), **front)
        elif issubclass(kind, Raced):
            if self.best:
                self._step("metrics", values=self.best)
            self._end("FINISHED", {"state": "raced"})
        else:
            broken = issubclass(kind, Exception)
            text = "".join(format_exception(error))[-LONGEST_TAG:]
            told = {"error": f"{kind.__name__}: {error}"[:500], "traceback": text}
            self._end("FAILED" if broken else "KILLED", {"state": "failed" if broken else "killed", **told})

    def _end(self, status: str, tags: Mapping[str, str], **front: Any) -> None:
        self._step("end", status=status, tags=dict(tags), **front)
        if self.journal:
            self.journal.close()

    def _step(self, step: str, /, **arguments: Any) -> None:
        at_ms = int(time.time() * 1000)
        if self.journal:
            self.journal.add(step, at_ms, arguments)
        else:
            with one_line(self.store.uri):
                getattr(self.writer, step)(at_ms, **arguments)
