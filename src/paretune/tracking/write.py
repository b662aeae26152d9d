"""The steps of a training as calls to MLflow. Each may be done twice and leaves the same."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import yaml
from mlflow.entities import Metric, Param, RunTag

from paretune.tracking.circumstances import circumstances
from paretune.tracking.store import Store, quoted
from paretune.tracking.upkeep import keep_front, parent_of, supersede

__all__ = ["RunWriter"]

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
            own = {**tags, **nesting, "mlflow.runName": name, **circumstances(), **({KEY: key} if key else {})}
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
