"""Recording a training in the store as it happens; while the store is busy or away, on
disk.

A run is written in steps. Each is first noted in a folder of the spool, and crossed off
once the store has it.
"""

import errno
import logging
import re
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from traceback import format_exception
from types import TracebackType
from typing import Any, ClassVar

import yaml
from requests import HTTPError

from paretune.errors import Raced, StoreError, first_line
from paretune.front import Candidate, Point
from paretune.retry import FaultError, Outage, comes_of, is_busy, patience
from paretune.tracking.front_tags import keep_front, supersede
from paretune.tracking.spool import (
    DamagedError,
    SpoolFolder,
    Step,
    folders_of,
    set_aside,
)
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
# Of the answers that blame the request, those that time mends.
TRY_AGAIN = (408, 425, 429)
NOT_ALLOWED = (401, 403)  # those that other credentials mend
OF_LOCAL_FILES = (errno.ENOENT, errno.EISDIR, errno.ENOTDIR, errno.EACCES, errno.EPERM)
AWAY_S = 300.0  # how long a run without a spool waits for a store that is busy

outage = Outage("the tracking store", (1.0, 2.0, 4.0, 8.0, 15.0, 30.0))


Tags = Mapping[str, str]


class RunWriter:
    """Writes the steps of one run, by way of a folder of the store's spool if it has
    one.
    """

    def __init__(self, store: Store, folder: SpoolFolder | None = None) -> None:
        self.store, self.folder, self.run_id, self.done = store, folder, "", 0
        self._is_begun = False
        if folder:
            self.done, self.run_id = folder.state()
            self._is_begun = True

    def open(self) -> None:
        """Make a folder in the spool, if the store has one. Raises
        :class:`~paretune.retry.FaultError` if the disk is full.
        """
        if self.store.spool_folder:
            self.folder = SpoolFolder.make(self.store.spool_folder)

    @property
    def key(self) -> str:
        """The name of its folder in the spool."""
        return self.folder.key if self.folder else ""

    def write(self, step: str, /, **arguments: Any) -> None:
        """Write a step that happens now, or note it, with copies of its files, and send
        what the store has not got.

        Raises :class:`~paretune.errors.StoreError` if the store refuses it for good or
        cannot be used.
        """
        at_ms = int(time.time() * 1000)
        if self.folder is None:
            self._apply_patiently(Step(step, at_ms, arguments))
            return
        if "files" in arguments:
            arguments["files"] = self.folder.keep(arguments["files"])
        self.folder.note(Step(step, at_ms, arguments))
        self.send()

    def send(self) -> bool:
        """Send the steps that are left, in order; returns whether all are done.

        Raises :class:`~paretune.errors.StoreError` if the store refuses a step for good
        or cannot be used,
        :class:`~paretune.tracking.spool.DamagedError` if the folder is damaged.
        """
        assert self.folder
        for step in self.folder.steps()[self.done :]:
            if not outage.is_over():
                return False
            try:
                self._apply(step)
            except StoreError as error:
                if not _is_outage(self.store, error):
                    raise
                outage.noticed(error)
                return False
            outage.ended()
            self.done += 1
            self.folder.set_state(self.done, self.run_id)
        return True

    def close(self) -> None:
        """Remove the folder if all is sent, else leave it for the next process."""
        if self.folder is None:
            return
        try:
            if self.send():
                self.folder.remove()
        finally:  # also if a step is refused
            self.release()

    def release(self) -> None:
        """Leave what is not sent to the next process."""
        if self.folder:
            self.folder.release()

    def _apply_patiently(self, step: Step) -> None:
        """Write a step, and wait for a store that is busy."""
        waiting = Outage("the tracking store", outage.pauses_s)
        while True:
            try:
                self._apply(step)
            except StoreError as error:
                if (
                    not is_busy(error)
                    or waiting.noticed(error) > AWAY_S
                    or patience.is_over()
                ):
                    raise
                waiting.wait()
                continue
            waiting.ended()
            return

    def _apply(self, step: Step) -> None:
        if step.name not in self.STEPS:
            raise DamagedError(f"step `{step.name}` is unknown")
        self.store.refuse_broken()
        if outage.tries or patience.is_ended():
            self.store.refuse_locked()
        with one_line(self.store.uri):
            self.STEPS[step.name](self, step.at_ms, **step.arguments)

    def _begin(
        self,
        at_ms: int,
        *,
        name: str,
        tags: Tags,
        searched: Tags,
        replaces: Sequence[str],
        key: str,
    ) -> None:
        """Make the run, below its sweep's if ``tags`` name one, and supersede earlier
        runs with the same tags ``replaces``.
        """
        from mlflow.entities import Param

        store = self.store
        parent = store.parent_of(tags[Tag.SWEEP]) if Tag.SWEEP in tags else None
        if parent is None:
            store.create()
        for run in (
            store.runs({same: tags[same] for same in replaces}) if replaces else []
        ):
            # What waited for a server comes late.
            if (run.info.start_time or 0) < at_ms:
                supersede(store, run, at_ms)
        made = store.runs({Tag.SPOOLED_AS: key}) if key and self._is_begun else []
        self._is_begun = True  # the store may make it, and its answer be lost
        if not made:
            nesting = {"mlflow.parentRunId": parent.info.run_id} if parent else {}
            nesting |= {Tag.SPOOLED_AS: key} if key else {}
            nesting |= (
                {Tag.ADDED: " ".join(added)}
                if (added := [name for name in searched if name[:1] == "+"])
                else {}
            )
            all_tags = {**tags, **nesting, "mlflow.runName": name, **provenance()}
            made = [
                Run.of(
                    store.client.create_run(
                        store.experiment_id, start_time=at_ms, tags=all_tags
                    )
                )
            ]
        self.run_id = made[0].info.run_id
        params = [
            Param(re.sub(REFUSED_IN_NAMES, "", param), str(value))
            for param, value in searched.items()
        ]
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
        """Log the counts, and the config as a file and as a tag to query. Earlier
        versions left steps without ``costs``.
        """
        self.store.log_metrics(self.run_id, {N_PARAMS: params, **(costs or {})}, at_ms)
        self.store.set_tags(self.run_id, {Tag.FAMILY: family, **config_tags(config)})
        self.store.keep_text(
            self.run_id, yaml.safe_dump(dict(config), sort_keys=False), "config.yaml"
        )

    def _metrics(
        self, at_ms: int, *, values: Mapping[str, float], step: int = 0
    ) -> None:
        self.store.log_metrics(self.run_id, values, at_ms, step)

    def _tag(self, at_ms: int, *, name: str, value: str) -> None:
        self.store.set_tags(self.run_id, {name: value})

    def _attach(self, at_ms: int, *, files: Sequence[str]) -> None:
        for path in files:
            self.store.keep_file(self.run_id, Path(path))

    def _end(
        self, at_ms: int, *, status: str, tags: Tags, trial_of: str = "", trial: int = 0
    ) -> None:
        """Close the run; a complete trial of the sweep ``trial_of`` joins its front."""
        self.store.set_tags(self.run_id, tags)
        self.store.client.set_terminated(self.run_id, status, at_ms)
        if trial_of:
            keep_front(self.store, trial_of, trial)

    # The names stand in spool folders, also in those that earlier versions left.
    STEPS: ClassVar[dict[str, Callable[..., None]]] = {
        "begin": _begin,
        "start": _start,
        "metrics": _metrics,
        "tag": _tag,
        "attach": _attach,
        "end": _end,
    }


def write_leftovers(store: Store) -> int:
    """Send what processes that are gone left in the store's spool; returns how many
    runs are left there after that.

    What cannot be written, as its folder is damaged or the store refuses it, is set
    aside. Raises
    :class:`~paretune.retry.FaultError` if the store cannot be used.
    """
    spool = store.spool_folder
    if spool is None or not spool.is_dir():
        return 0
    left = 0
    for path in folders_of(spool):
        try:
            _write_leftover(store, path)
        except (BlockingIOError, FileNotFoundError):
            # Its process lives, or has just ended it.
            continue
        left += path.is_dir()
    return left


def has_waiting(store: Store) -> bool:
    """Whether runs wait in the store's spool."""
    return store.spool_folder is not None and bool(folders_of(store.spool_folder))


def _write_leftover(store: Store, path: Path) -> None:
    """Send what a folder holds, or set it aside. Raises ``BlockingIOError``,
    ``FileNotFoundError`` like :meth:`SpoolFolder.take_over`.
    """
    try:
        folder = SpoolFolder.take_over(path)
    except (NotADirectoryError, IsADirectoryError):
        set_aside(path, "it is no folder of a run")
        return
    try:
        RunWriter(store, folder).close()
    except FaultError:
        raise
    except StoreError as error:
        if _is_forbidden(error):
            log.warning(
                "a run of %s is refused (%s); its steps stay there",
                path,
                first_line(error)[:300],
            )
        else:
            set_aside(path, first_line(error)[:300])
    except Exception as error:  # whatever the arguments of a damaged step make of the store's functions
        set_aside(path, first_line(error)[:300])
    finally:
        folder.release()


def _is_outage(store: Store, error: StoreError) -> bool:
    """Whether the store is busy or away, and the same step may be sent again later."""
    if isinstance(error, FaultError):
        return False
    return is_busy(error) or (store.file is None and not _is_refusal(error))


def _is_refusal(error: StoreError) -> bool:
    """Whether the server understood and refuses, or the step's files are gone, rather
    than the server.
    """
    cause = error.__cause__
    is_local = isinstance(cause, OSError) and cause.errno in OF_LOCAL_FILES
    status = _status(error)
    return is_local or (400 <= status < 500 and status not in TRY_AGAIN)


def _is_forbidden(error: StoreError) -> bool:
    return isinstance(error.__cause__, PermissionError) or _status(error) in NOT_ALLOWED


def _status(error: StoreError) -> int:
    """The HTTP status that the store answered with; 500 if it did not answer."""
    from mlflow.exceptions import MlflowException

    cause = error.__cause__
    if isinstance(cause, MlflowException):
        return int(cause.get_http_status_code())  # type: ignore[no-untyped-call]
    # Of an artifact, which goes its own way.
    if isinstance(cause, HTTPError) and cause.response is not None:
        return int(cause.response.status_code)
    return 500


class RunRecorder(RunWriter):
    """One training as a run: a sweep's child where ``tags`` name a ``sweep``, else a
    run of its own.

    Leaving the block closes the run: FINISHED, KILLED after an interrupt, FAILED after
    any other exception; the tag ``state`` tells complete and raced apart. Runs with the
    same tags ``replaces`` are of an earlier attempt, whose worker died. The store may
    be busy or away for a while: what happens meanwhile is written when it is back.
    """

    def __init__(
        self,
        store: Store,
        name: str,
        *,
        tags: Tags,
        searched: Tags,
        replaces: Sequence[str] = (),
    ) -> None:
        super().__init__(store)
        self.name = name
        self.tags, self.searched, self.replaces = (
            dict(tags),
            dict(searched),
            list(replaces),
        )
        self.best: dict[str, float] = {}

    def __enter__(self) -> "RunRecorder":
        write_leftovers(self.store)
        self.open()
        run = {
            "name": self.name,
            "tags": self.tags,
            "searched": self.searched,
            "replaces": self.replaces,
        }
        try:
            self.write("begin", **run, key=self.key)
        except BaseException:
            self.release()
            raise
        return self

    def start(self, candidate: Candidate) -> None:
        """Log what is known before training: the costs, and the config as a file and
        as a tag to query.
        """
        costs: dict[str, float] = {}
        for name, value in candidate.costs.items():
            if name != "params":
                costs[COST_METRICS[name]] = float(value)
        self.write(
            "start",
            params=candidate.params,
            family=candidate.family,
            config=dict(candidate.config),
            costs=costs,
        )

    def epoch(self, number: int, scores: Mapping[str, float]) -> None:
        """Add a point to each curve ``epoch/<name>``."""
        self.write(
            "metrics",
            values={f"epoch/{name}": value for name, value in scores.items()},
            step=number,
        )
        if scores.get(VAL_F1, 0.0) > self.best.get(VAL_F1, -1.0):
            self.best = {
                name: value for name, value in scores.items() if name.startswith("val_")
            }
            self.best["best_epoch"] = number

    def tag(self, name: str, value: str) -> None:
        """Add a tag to the run; what is longer than a store takes is cut off."""
        self.write("tag", name=name, value=value[:LONGEST_VALUE])

    def finish(
        self, point: Point, more: Mapping[str, float], files: Sequence[Path]
    ) -> None:
        """Log the final scores under their own names, and attach files."""
        self.write(
            "metrics",
            values={name: getattr(point, field) for name, field in SCORES.items()}
            | dict(more),
        )
        if files:
            self.write("attach", files=[str(path) for path in files])

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            is_trial = self.tags.get(Tag.KIND) == "trial"
            front = (
                {"trial_of": self.tags[Tag.SWEEP], "trial": int(self.tags[Tag.TRIAL])}
                if is_trial
                else {}
            )
            self.end(
                "FINISHED",
                {Tag.STATE: "complete"} | ({Tag.FRONT: "true"} if is_trial else {}),
                **front,
            )
        elif isinstance(error, Raced):
            if self.best:
                self.write("metrics", values=self.best)
            self.end("FINISHED", {Tag.STATE: "raced"})
        else:
            is_failure = isinstance(error, Exception) and not comes_of(
                error, KeyboardInterrupt
            )
            status, state = ("FAILED", "failed") if is_failure else ("KILLED", "killed")
            trace_text = "".join(format_exception(error))[-LONGEST_VALUE:]
            message = f"{type(error).__name__}: {error}"[:500]
            self.end(
                status, {Tag.STATE: state, Tag.ERROR: message, "traceback": trace_text}
            )

    def end(self, status: str, tags: Mapping[str, str], **front: Any) -> None:
        """Close the run with these tags; ``front`` names the sweep and the number of a
        trial that may join the front.
        """
        try:
            self.write("end", status=status, tags=dict(tags), **front)
            self.close()
        finally:
            self.release()
        if (
            self.folder
            and self.folder.path.is_dir()
            and self.tags.get(Tag.KIND) != "trial"
        ):
            log.warning(
                "this run waits in %s; the next command writes it to the tracking store",
                self.folder.path,
            )
