"""Writing a training to the store, as it happens."""

import json
import re
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from traceback import format_exception
from types import TracebackType

import yaml
from mlflow.entities import Metric, Param, RunTag

from paretune.errors import Raced
from paretune.point import Point
from paretune.tracking.circumstances import circumstances
from paretune.tracking.store import Store, quoted
from paretune.tracking.sweep import keep_front, parent_of

__all__ = ["RunRecorder"]

NO_NAME = r"[^\w\-. :/]"  # what MLflow takes in no name, such as the plus of ``+recipe``
LONGEST_TAG = 5000  # characters that every MLflow store takes


class RunRecorder(AbstractContextManager["RunRecorder"]):
    """One training as a run: a sweep's child where ``tags`` name a ``sweep``, else a run of its own.

    Leaving the block closes the run: FINISHED, KILLED after an interrupt, FAILED after any other exception; the tag ``state``
    tells complete and raced apart. Runs with the same tags ``replaces`` are of an earlier attempt, whose worker died.
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
        self.run_id = ""
        self.best: dict[str, float] = {}

    def __enter__(self) -> "RunRecorder":
        parent = parent_of(self.store, self.tags["sweep"]) if "sweep" in self.tags else None
        if parent is None:
            self.store.create()
        else:
            self.tags["mlflow.parentRunId"] = parent.info.run_id
        if self.replaces:
            self._supersede()
        tags = {**self.tags, "mlflow.runName": self.name, **circumstances()}
        run = self.store.client.create_run(self.store.experiment_id, tags=tags)
        self.run_id = run.info.run_id
        params = [Param(re.sub(NO_NAME, "", key), str(value)) for key, value in self.searched.items()]
        self.store.client.log_batch(self.run_id, params=params)
        return self

    def _supersede(self) -> None:
        """Close what earlier attempts left: their worker died, perhaps before it could tell the study."""
        same = " and ".join(f"tags.{name} = {quoted(self.tags[name])}" for name in self.replaces)
        for run in self.store.runs(same):
            tags = [RunTag("state", "superseded"), RunTag("front", "false")]
            self.store.client.log_batch(run.info.run_id, tags=tags)
            if run.info.status == "RUNNING":
                self.store.client.set_terminated(run.info.run_id, "KILLED")

    def epoch(self, number: int, scores: Mapping[str, float]) -> None:
        """Add a point to each curve ``epoch/<name>``."""
        self._metrics({f"epoch/{name}": value for name, value in scores.items()}, step=number)
        if scores.get("val_f1", 0.0) > self.best.get("val_f1", -1.0):
            self.best = {name: scores[name] for name in ("val_f1", "val_accuracy", "val_loss") if name in scores}
            self.best["best_epoch"] = number

    def start(self, point: Point) -> None:
        """Log what is known before training: the count, and the config as a file and as a tag to query."""
        self._metrics({"n_params": point.params})
        tags = [RunTag("family", point.family), RunTag("config", json.dumps(point.config))]
        self.store.client.log_batch(self.run_id, tags=tags)
        self.store.client.log_text(self.run_id, yaml.safe_dump(dict(point.config), sort_keys=False), "config.yaml")

    def tag(self, name: str, value: str) -> None:
        """Add a tag to the run."""
        self.store.client.set_tag(self.run_id, name, value)

    def finish(self, point: Point, more: Mapping[str, float], files: Sequence[Path]) -> None:
        """Log the final scores under their own names, and attach files."""
        scores = {"val_f1": point.f1, "val_accuracy": point.accuracy, "val_loss": point.loss}
        self._metrics({**scores, "seconds": point.seconds, "best_epoch": point.best_epoch, **more})
        for path in files:
            self.store.client.log_artifact(self.run_id, str(path))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        is_trial = self.tags.get("kind") == "trial"
        if kind is None:
            self._close("FINISHED", {"state": "complete"} | ({"front": "true"} if is_trial else {}))
            if is_trial:
                keep_front(self.store, self.tags["sweep"], int(self.tags["trial"]))
        elif issubclass(kind, Raced):
            self._metrics(self.best)
            self._close("FINISHED", {"state": "raced"})
        else:
            broken = issubclass(kind, Exception)
            text = "".join(format_exception(error))[-LONGEST_TAG:]
            told = {"error": f"{kind.__name__}: {error}"[:500], "traceback": text}
            self._close("FAILED" if broken else "KILLED", {"state": "failed" if broken else "killed", **told})

    def _close(self, status: str, tags: Mapping[str, str]) -> None:
        self.store.client.log_batch(self.run_id, tags=[RunTag(name, value) for name, value in tags.items()])
        self.store.client.set_terminated(self.run_id, status)

    def _metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        now_ms = int(time.time() * 1000)
        metrics = [Metric(name, float(value), now_ms, step) for name, value in values.items()]
        self.store.client.log_batch(self.run_id, metrics=metrics)
