"""Recording a training in the store, as it happens."""

import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from traceback import format_exception
from types import TracebackType
from typing import Any

from paretune.errors import Raced
from paretune.point import Point
from paretune.tracking.journal import Journal, write_leftovers
from paretune.tracking.store import Store, one_line
from paretune.tracking.write import RunWriter

__all__ = ["RunRecorder"]

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
