"""Runs as they are read from a store, from its tables or by MLflow's client."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow.entities import Run as ClientRun


@dataclass(frozen=True, slots=True)
class RunInfo:
    """The facts of a run itself; times are milliseconds since 1970."""

    run_id: str
    experiment_id: str
    status: str
    start_time: int | None
    end_time: int | None
    artifact_uri: str = ""


@dataclass(frozen=True, slots=True)
class RunData:
    """All that was logged; of a metric the latest value."""

    tags: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Run:
    """The part of MLflow's ``Run`` that Paretune reads, by the same names."""

    info: RunInfo
    data: RunData

    @classmethod
    def of(cls, run: "ClientRun") -> "Run":
        """The same of what MLflow's client gives."""
        info = RunInfo(
            run.info.run_id,
            run.info.experiment_id,
            run.info.status,
            run.info.start_time,
            run.info.end_time,
            run.info.artifact_uri,
        )
        return cls(info, RunData(run.data.tags, run.data.metrics, run.data.params))

    @property
    def run_id(self) -> str:
        """Its id."""
        return self.info.run_id

    @property
    def tags(self) -> dict[str, str]:
        """Its tags."""
        return self.data.tags


@dataclass(frozen=True, slots=True)
class TagOfRun:
    """The value of a tag that a run has, and whether the run is active: not deleted."""

    value: str
    is_active: bool


@dataclass(frozen=True)
class Part:
    """A part of each run to be read: the tags and metrics of these ``names``, the config
    and what was searched if asked for.
    """

    names: tuple[str, ...]
    config: bool = False
    searched: bool = False
