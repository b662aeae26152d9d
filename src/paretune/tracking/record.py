"""Writing sweeps and trials to the store, as they happen."""

import json
import re
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from traceback import format_exception
from types import TracebackType
from typing import Any

import yaml
from mlflow.entities import Metric, Param, Run, RunTag

from paretune.errors import Raced
from paretune.point import Point
from paretune.tracking.store import Store

__all__ = ["RunRecorder", "SweepRecorder"]

NO_NAME = r"[^\w\-. :/]"  # what MLflow takes in no name, such as the plus of ``+recipe``
LONGEST_TAG = 5000  # characters that every MLflow store takes


class SweepRecorder:
    """The parent run of a sweep. Made by the sweeper, which calls ``start`` and ``finish``."""

    def __init__(self, tracking: Mapping[str, Any]) -> None:
        self.store = Store(**tracking) if tracking.get("uri") else None
        self.run_id = self.sweep = ""

    def start(self, sweep: str, facts: Mapping[str, Any]) -> None:
        """Make the store and the sweep's parent run, or reopen it; ``facts`` become its parameters' first values."""
        if self.store is None:
            return
        self.store.create()
        client = self.store.client
        parent = _parent(self.store, sweep)
        if parent is None:
            tags = {"mlflow.runName": sweep, "kind": "sweep", "sweep": sweep}
            parent = client.create_run(self.store.experiment_id, tags=tags)
            client.log_dict(parent.info.run_id, dict(facts), "sweep.yaml")
        self.run_id, self.sweep = parent.info.run_id, sweep
        client.update_run(self.run_id, status="RUNNING")

    def finish(self, status: str, reasons: Mapping[int, str], running: Collection[int]) -> None:
        """Close the parent run as ``FINISHED``, ``FAILED`` or ``KILLED``, and the runs of workers that died.

        ``reasons`` says by trial number why trials failed; ``running`` trials are still in somebody's hands.
        """
        if self.store is None or not self.run_id:
            return
        for run in self.store.runs(f"tags.sweep = '{self.sweep}' and tags.kind = 'trial'"):
            number = int(run.data.tags["trial"])
            superseded = run.data.tags.get("state") == "superseded"
            was_killed = run.info.status == "KILLED" and number in reasons and not superseded
            if was_killed or (run.info.status == "RUNNING" and number not in running):
                self._close(run, reasons.get(number))
        self.store.client.set_terminated(self.run_id, status)

    def _close(self, run: Run, reason: str | None) -> None:
        assert self.store
        if reason:
            self.store.client.set_tag(run.info.run_id, "error", reason[:500])
        self.store.client.set_terminated(run.info.run_id, "FAILED" if reason else "KILLED")


class RunRecorder(AbstractContextManager["RunRecorder"]):
    """One training as a run: a sweep's child where ``tags`` name a ``sweep``, else a run of its own.

    Leaving the block closes the run: FINISHED, KILLED after an interrupt, FAILED after any other exception.
    """

    def __init__(self, store: Store, name: str, *, tags: Mapping[str, str], searched: Mapping[str, str]) -> None:
        self.store, self.name = store, name
        self.tags, self.searched = dict(tags), dict(searched)
        self.run_id = ""

    def __enter__(self) -> "RunRecorder":
        parent = _parent(self.store, self.tags["sweep"]) if "sweep" in self.tags else None
        if parent is None:
            self.store.create()
        else:
            self.tags["mlflow.parentRunId"] = parent.info.run_id
        if int(self.tags.get("attempt", 0)) > 0:
            self._supersede()
        self.tags["mlflow.runName"] = self.name
        run = self.store.client.create_run(self.store.experiment_id, tags=self.tags)
        self.run_id = run.info.run_id
        params = [Param(re.sub(NO_NAME, "", key), str(value)) for key, value in self.searched.items()]
        self.store.client.log_batch(self.run_id, params=params)
        return self

    def _supersede(self) -> None:
        """Close what earlier attempts of this trial left: their worker died, perhaps before it could tell the study."""
        sweep, trial = self.tags["sweep"], self.tags["trial"]
        for run in self.store.runs(f"tags.sweep = '{sweep}' and tags.trial = '{trial}'"):
            self.store.client.set_tag(run.info.run_id, "state", "superseded")
            if run.info.status == "RUNNING":
                self.store.client.set_terminated(run.info.run_id, "KILLED")

    def epoch(self, number: int, scores: Mapping[str, float]) -> None:
        """Add a point to each curve ``epoch/<name>``."""
        self._metrics({f"epoch/{name}": value for name, value in scores.items()}, step=number)

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
        if kind is None:
            status = "FINISHED"
        elif issubclass(kind, Raced):
            status = "FINISHED"
            self.tag("state", "raced")
        else:
            status = "FAILED" if issubclass(kind, Exception) else "KILLED"
            self.tag("error", f"{kind.__name__}: {error}"[:500])
            self.tag("traceback", "".join(format_exception(error))[-LONGEST_TAG:])
        self.store.client.set_terminated(self.run_id, status)

    def _metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        now_ms = int(time.time() * 1000)
        metrics = [Metric(name, float(value), now_ms, step) for name, value in values.items()]
        self.store.client.log_batch(self.run_id, metrics=metrics)


def _parent(store: Store, sweep: str) -> Run | None:
    found = store.runs(f"tags.kind = 'sweep' and tags.sweep = '{sweep}'")
    return found[0] if found else None
