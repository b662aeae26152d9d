"""Runs read from the tables of a SQLite store itself: without MLflow's import of a second, and in a tenth of its time.

Read-only. A store of another version of MLflow's schema is left to its client (see :meth:`Store.runs`).
"""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from math import nan
from pathlib import Path
from sys import intern
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow.entities import Run as ClientRun


@dataclass(frozen=True, slots=True)
class RunInfo:
    """What is known of a run itself; times are milliseconds since 1970."""

    run_id: str
    experiment_id: str
    status: str
    start_time: int | None
    end_time: int | None


@dataclass(frozen=True, slots=True)
class RunData:
    """What was logged; of a metric the latest value."""

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
        info, data = run.info, run.data
        times = info.start_time, info.end_time
        return cls(
            RunInfo(info.run_id, info.experiment_id, info.status, *times), RunData(data.tags, data.metrics, data.params)
        )


KNOWN_SCHEMA = "dc11669786a5"  # what MLflow 3.17 calls it
RUNS = """
    SELECT run_uuid, experiment_id, status, start_time, end_time FROM runs JOIN experiments USING (experiment_id)
    WHERE runs.lifecycle_stage = 'active' AND experiments.lifecycle_stage = 'active' AND run_uuid IN ({chosen})
    ORDER BY start_time, run_uuid
"""
HAS_TAG = "SELECT run_uuid FROM tags WHERE key = ? AND value = ?"


def runs_with(path: Path, tags: Mapping[str, str]) -> list[Run]:
    """All runs of the store in this file that have these tags (at least one), oldest first.

    Raises ``sqlite3.Error`` if it cannot be read or is of an unknown schema.
    """
    chosen, wanted = " INTERSECT ".join([HAS_TAG] * len(tags)), [word for tag in tags.items() for word in tag]
    with _reading(path) as connection:
        rows = connection.execute(RUNS.format(chosen=chosen), wanted)
        runs = {row[0]: Run(RunInfo(row[0], str(row[1]), *row[2:]), RunData()) for row in rows}
        for table in ("tags", "params", "metrics"):
            columns = "value, is_nan FROM latest_metrics" if table == "metrics" else f"value, 0 FROM {table}"
            for run_id, key, value, is_nan in connection.execute(
                f"SELECT run_uuid, key, {columns} WHERE run_uuid IN ({chosen})", wanted
            ):
                if run_id in runs:
                    getattr(runs[run_id].data, table)[intern(key)] = nan if is_nan else value
    return list(runs.values())


def curve_of(path: Path, run_id: str, name: str) -> list[tuple[int, float]]:
    """(step, value) of all values of a metric, by step. Raises ``sqlite3.Error`` like :func:`runs_with`."""
    with _reading(path) as connection:
        query = "SELECT step, value, is_nan FROM metrics WHERE run_uuid = ? AND key = ? ORDER BY step, value"
        return [(step, nan if is_nan else value) for step, value, is_nan in connection.execute(query, (run_id, name))]


@contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    """One state of the database, whatever others write meanwhile."""
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None)) as connection:
        connection.execute("BEGIN")
        schema = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        if schema != (KNOWN_SCHEMA,):
            raise sqlite3.NotSupportedError(f"schema {schema} is unknown")
        yield connection
