"""Recording a training in the store as it happens; while a tracking server is away, on disk.

A run is written in steps. For a server each step is first noted in a folder of the store's spool, as a line of
``[step, milliseconds since 1970, arguments]``, and crossed off once the server has it.
"""

import fcntl
import json
import logging
import re
import shutil
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from math import isnan
from pathlib import Path
from traceback import format_exception
from types import TracebackType
from typing import IO, Any, ClassVar

import yaml
from requests import HTTPError

from paretune.atomic import atomically
from paretune.errors import Absence, Raced, StoreError, first_line
from paretune.front import Point
from paretune.tracking.front_tags import keep_front, supersede
from paretune.tracking.store import (
    COST_METRICS,
    LONGEST_VALUE,
    N_PARAMS,
    SCORES,
    VAL_F1,
    Store,
    Tag,
    config_tags,
    one_line,
    provenance,
)
from paretune.tracking.tables import Run

log = logging.getLogger(__name__)

REFUSED_IN_NAMES = r"[^\w\-. :/]"  # by MLflow, such as the plus of ``+recipe``
OLD_S = 60.0
TRY_AGAIN = (408, 425, 429)  # of the answers that blame the request, those that time mends

absence = Absence("the tracking server", (1.0, 2.0, 4.0, 8.0, 15.0, 30.0))


Tags = Mapping[str, str]


class RunWriter:
    """Writes the steps of one run: at once, or beside a server by way of a folder that this process has locked."""

    def __init__(self, store: Store) -> None:
        self.store, self.run_id, self.key, self.done = store, "", "", 0

    def open(self, key: str = "") -> None:
        """Lock a folder of the spool if the store has one: a new one, or the one of this name that another process left.

        Raises ``BlockingIOError`` if that process still has it, ``FileNotFoundError`` if it is gone.
        """
        spool = self.store.spool_folder
        if spool is None:
            return
        self.key = key or f"{time.time_ns()}-{uuid.uuid4().hex}"  # in the order of their age
        self.folder = spool / self.key
        folder = self.folder if key else spool / f".new-{self.key}"  # no process looks at it before it is locked
        if not key:
            folder.mkdir(parents=True)
        self.lock: IO[str] = (folder / "lock").open("w")
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.lock.close()
            raise
        folder.rename(self.folder)
        state = self.folder / "state.json"
        if state.is_file():
            self.done, self.run_id = json.loads(state.read_text())

    def write(self, step: str, /, **arguments: Any) -> None:
        """Write a step that happens now, or note it, with copies of its files, and send what the server has not got."""
        at_ms = int(time.time() * 1000)
        if not self.key:
            self._apply(step, at_ms, arguments)
            return
        if "files" in arguments:
            (self.folder / "files").mkdir(exist_ok=True)
            arguments["files"] = [str(shutil.copy(path, self.folder / "files")) for path in arguments["files"]]
        with (self.folder / "steps.jsonl").open("a") as file:
            file.write(json.dumps([step, at_ms, arguments]) + "\n")
        self.send()

    def send(self) -> bool:
        """Send the steps that are left, in order; returns whether all are done.

        Raises :class:`~paretune.errors.StoreError` if the server refuses a step for good.
        """
        path = self.folder / "steps.jsonl"
        lines = path.read_text().splitlines(keepends=True) if path.is_file() else []
        whole = [line for line in lines if line.endswith("\n")]  # a process may have died while it wrote
        for line in whole[self.done :]:
            if not absence.is_over():
                return False
            try:
                self._apply(*json.loads(line))
            except StoreError as error:
                if _is_refusal(error):
                    raise
                absence.noticed(error)
                return False
            absence.ended()
            self.done += 1
            with atomically(self.folder / "state.json") as partial:
                partial.write_text(json.dumps([self.done, self.run_id]))
        return True

    def close(self) -> None:
        """Remove the folder if all is sent, else leave it for the next process."""
        if not self.key:
            return
        with self.lock:  # released also if a step is refused
            if self.send():
                hidden = self.folder.with_name(f".done-{self.key}")  # one rename hides it from all processes
                self.folder.rename(hidden)
                shutil.rmtree(hidden, ignore_errors=True)

    def _apply(self, step: str, at_ms: int, arguments: Mapping[str, Any]) -> None:
        with one_line(self.store.uri):
            self.STEPS[step](self, at_ms, **arguments)

    def _begin(self, at_ms: int, *, name: str, tags: Tags, searched: Tags, replaces: Sequence[str], key: str) -> None:
        """Make the run, below its sweep's if ``tags`` name one, and supersede earlier runs with the same tags ``replaces``."""
        from mlflow.entities import Param

        store = self.store
        parent = store.parent_of(tags[Tag.SWEEP]) if Tag.SWEEP in tags else None
        if parent is None:
            store.create()
        for run in store.runs({same: tags[same] for same in replaces}) if replaces else []:
            if (run.info.start_time or 0) < at_ms:  # what waited for a server comes late
                supersede(store, run, at_ms)
        made = store.runs({Tag.SPOOLED_AS: key}) if key else []
        if not made:
            nesting = {"mlflow.parentRunId": parent.info.run_id} if parent else {}
            nesting |= {Tag.SPOOLED_AS: key} if key else {}
            nesting |= {Tag.ADDED: " ".join(added)} if (added := [name for name in searched if name[:1] == "+"]) else {}
            all_tags = {**tags, **nesting, "mlflow.runName": name, **provenance()}
            made = [Run.of(store.client.create_run(store.experiment_id, start_time=at_ms, tags=all_tags))]
        self.run_id = made[0].info.run_id
        params = [Param(re.sub(REFUSED_IN_NAMES, "", param), str(value)) for param, value in searched.items()]
        store.client.log_batch(self.run_id, params=params)

    def _start(
        self,
        at_ms: int,
        *,
        params: int,
        family: str,
        config: Mapping[str, Any],
        costs: Mapping[str, float] | None = None,
    ) -> None:
        """Log the counts, and the config as a file and as a tag to query. Earlier versions left steps without ``costs``."""
        self.store.log_metrics(self.run_id, {N_PARAMS: params, **(costs or {})}, at_ms)
        self.store.set_tags(self.run_id, {Tag.FAMILY: family, **config_tags(config)})
        self.store.keep_text(self.run_id, yaml.safe_dump(dict(config), sort_keys=False), "config.yaml")

    def _metrics(self, at_ms: int, *, values: Mapping[str, float], step: int = 0) -> None:
        self.store.log_metrics(self.run_id, values, at_ms, step)

    def _tag(self, at_ms: int, *, name: str, value: str) -> None:
        self.store.set_tags(self.run_id, {name: value})

    def _attach(self, at_ms: int, *, files: Sequence[str]) -> None:
        for path in files:
            self.store.keep_file(self.run_id, Path(path))

    def _end(self, at_ms: int, *, status: str, tags: Tags, trial_of: str = "", trial: int = 0) -> None:
        """Close the run; a complete trial of the sweep ``trial_of`` joins its front."""
        self.store.set_tags(self.run_id, tags)
        self.store.client.set_terminated(self.run_id, status, at_ms)
        if trial_of:
            keep_front(self.store, trial_of, trial)

    # The names stand in spool folders, also in those that earlier versions left.
    STEPS: ClassVar[dict[str, Callable[..., None]]] = {
        "begin": _begin, "start": _start, "metrics": _metrics, "tag": _tag, "attach": _attach, "end": _end,
    }  # fmt: skip


def write_leftovers(store: Store) -> int:
    """Send what processes that are gone left in the store's spool; returns how many runs are left there after that."""
    spool = store.spool_folder
    if spool is None or not spool.is_dir():
        return 0
    for hidden in spool.glob(".*"):  # left by a process that was killed as it began or ended a run
        with suppress(FileNotFoundError):
            if time.time() - hidden.stat().st_mtime > OLD_S:
                shutil.rmtree(hidden, ignore_errors=True)
    left = 0
    for folder in sorted(spool.glob("[!.]*")):
        try:
            writer = RunWriter(store)
            writer.open(folder.name)
            writer.close()
        except (BlockingIOError, FileNotFoundError):  # its process lives, or has just ended it
            continue
        except StoreError as error:
            log.warning("a run of %s is refused (%s); its steps stay there", folder, first_line(error)[:300])
        left += folder.is_dir()
    return left


def _is_refusal(error: StoreError) -> bool:
    """Whether the server understood and refuses, rather than not being there."""
    from mlflow.exceptions import MlflowException

    cause = error.__cause__
    status: int = 500
    if isinstance(cause, MlflowException):
        status = cause.get_http_status_code()  # type: ignore[no-untyped-call]
    elif isinstance(cause, HTTPError) and cause.response is not None:  # of an artifact, which goes its own way
        status = cause.response.status_code
    return isinstance(cause, PermissionError) or (400 <= status < 500 and status not in TRY_AGAIN)


class RunRecorder(RunWriter):
    """One training as a run: a sweep's child where ``tags`` name a ``sweep``, else a run of its own.

    Leaving the block closes the run: FINISHED, KILLED after an interrupt, FAILED after any other exception; the tag ``state``
    tells complete and raced apart. Runs with the same tags ``replaces`` are of an earlier attempt, whose worker died.
    A server may be away for a while: what happens meanwhile is written when it is back.
    """

    def __init__(self, store: Store, name: str, *, tags: Tags, searched: Tags, replaces: Sequence[str] = ()) -> None:
        super().__init__(store)
        self.name = name
        self.tags, self.searched, self.replaces = dict(tags), dict(searched), list(replaces)
        self.best: dict[str, float] = {}

    def __enter__(self) -> "RunRecorder":
        write_leftovers(self.store)
        self.open()
        run = {"name": self.name, "tags": self.tags, "searched": self.searched, "replaces": self.replaces}
        self.write("begin", **run, key=self.key)
        return self

    def start(self, point: Point) -> None:
        """Log what is known before training: the counts, and the config as a file and as a tag to query."""
        counted = {metric: getattr(point, cost) for cost, metric in COST_METRICS.items()}
        costs = {metric: float(value) for metric, value in counted.items() if metric != N_PARAMS and not isnan(value)}
        self.write("start", params=point.params, family=point.family, config=dict(point.config), costs=costs)

    def epoch(self, number: int, scores: Mapping[str, float]) -> None:
        """Add a point to each curve ``epoch/<name>``."""
        self.write("metrics", values={f"epoch/{name}": value for name, value in scores.items()}, step=number)
        if scores.get(VAL_F1, 0.0) > self.best.get(VAL_F1, -1.0):
            self.best = {name: value for name, value in scores.items() if name.startswith("val_")}
            self.best["best_epoch"] = number

    def tag(self, name: str, value: str) -> None:
        """Add a tag to the run; what is longer than a store takes is cut off."""
        self.write("tag", name=name, value=value[:LONGEST_VALUE])

    def finish(self, point: Point, more: Mapping[str, float], files: Sequence[Path]) -> None:
        """Log the final scores under their own names, and attach files."""
        self.write("metrics", values={name: getattr(point, field) for name, field in SCORES.items()} | dict(more))
        if files:
            self.write("attach", files=[str(path) for path in files])

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            is_trial = self.tags.get(Tag.KIND) == "trial"
            front = {"trial_of": self.tags[Tag.SWEEP], "trial": int(self.tags[Tag.TRIAL])} if is_trial else {}
            self.end("FINISHED", {Tag.STATE: "complete"} | ({Tag.FRONT: "true"} if is_trial else {}), **front)
        elif isinstance(error, Raced):
            if self.best:
                self.write("metrics", values=self.best)
            self.end("FINISHED", {Tag.STATE: "raced"})
        else:
            status, state = ("FAILED", "failed") if isinstance(error, Exception) else ("KILLED", "killed")
            trace_text = "".join(format_exception(error))[-LONGEST_VALUE:]
            message = f"{type(error).__name__}: {error}"[:500]
            self.end(status, {Tag.STATE: state, Tag.ERROR: message, "traceback": trace_text})

    def end(self, status: str, tags: Mapping[str, str], **front: Any) -> None:
        """Close the run with these tags; ``front`` names the sweep and the number of a trial that may join the front."""
        self.write("end", status=status, tags=dict(tags), **front)
        self.close()
