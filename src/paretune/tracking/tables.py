"""Runs read from the tables of a SQLite store itself: without MLflow's import of a
second, and in a tenth of its time.

Read-only. A store whose tables have not the columns that are read is left to MLflow's
client (see :meth:`Store.runs`).
"""

import os
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
    artifact_uri: str = ""


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
            RunInfo(
                info.run_id, info.experiment_id, info.status, *times, info.artifact_uri
            ),
            RunData(data.tags, data.metrics, data.params),
        )


COLUMNS_READ = {
    "experiments": {"experiment_id", "name", "artifact_location", "lifecycle_stage"},
    "runs": {
        "run_uuid",
        "experiment_id",
        "status",
        "start_time",
        "end_time",
        "artifact_uri",
        "lifecycle_stage",
    },
    "tags": {"run_uuid", "key", "value"},
    "params": {"run_uuid", "key", "value"},
    "latest_metrics": {"run_uuid", "key", "value", "is_nan"},
    "metrics": {"run_uuid", "key", "value", "is_nan", "step"},
}
IS_ACTIVE = (
    "(runs.lifecycle_stage = 'active' AND experiments.lifecycle_stage = 'active')"
)
RUNS = """
    SELECT run_uuid, experiment_id, status, start_time, end_time, artifact_uri
    FROM runs JOIN experiments USING (experiment_id)
    WHERE {which} AND run_uuid IN ({chosen})
    ORDER BY start_time, run_uuid
"""
HAS_TAG = "SELECT run_uuid FROM tags WHERE key = ? AND value = ?"
TAG_OF_ALL = f"""
    SELECT run_uuid, value, {IS_ACTIVE} FROM tags JOIN runs USING (run_uuid) JOIN experiments USING (experiment_id)
    WHERE key = ? AND run_uuid IN ({{chosen}})
"""


@dataclass(frozen=True)
class Part:
    """What is read of each run: the tags and metrics of these ``names``, its config and
    what was searched if asked for.
    """

    names: tuple[str, ...]
    config: bool = False
    searched: bool = False

    def condition_for(self, table: str) -> tuple[str, tuple[str, ...]]:
        """The end of a query of rows of this table, and its arguments."""
        if table == "params":
            return ("", ()) if self.searched else ("AND 0", ())
        marks = ", ".join("?" * len(self.names))
        parts = "OR key LIKE 'config%'" if table == "tags" and self.config else ""
        return f"AND (key IN ({marks}) {parts})", self.names


def runs_with(
    path: Path,
    tags: Mapping[str, str],
    *,
    deleted: bool = False,
    only: Part | None = None,
) -> list[Run]:
    """All runs of the store in this file that have these tags (at least one), oldest
    first; or those that were ``deleted``.

    Of their tags, parameters and metrics all are read, or ``only`` a part of them.
    Raises ``sqlite3.Error`` if it cannot be read, or has not the columns that are read.
    """
    chosen, wanted = _having(tags)
    return _runs_of(
        path, chosen, wanted, f"NOT {IS_ACTIVE}" if deleted else IS_ACTIVE, only
    )


def run_of(path: Path, run_id: str) -> Run | None:
    """The run of this id, if the store has it and it is not deleted. Raises
    ``sqlite3.Error`` like :func:`runs_with`.
    """
    return next(iter(_runs_of(path, "SELECT ?", [run_id], IS_ACTIVE)), None)


def _having(tags: Mapping[str, str]) -> tuple[str, list[str]]:
    """A query for the ids of the runs that have all these tags, and its arguments."""
    return " INTERSECT ".join([HAS_TAG] * len(tags)), [
        word for tag in tags.items() for word in tag
    ]


def _runs_of(
    path: Path, chosen: str, wanted: list[str], which: str, only: Part | None = None
) -> list[Run]:
    with _reading(path) as connection:
        rows = connection.execute(RUNS.format(which=which, chosen=chosen), wanted)
        runs = {
            row[0]: Run(RunInfo(row[0], str(row[1]), *row[2:]), RunData())
            for row in rows
        }
        for table in ("tags", "params", "metrics"):
            columns = (
                "value, is_nan FROM latest_metrics"
                if table == "metrics"
                else f"value, 0 FROM {table}"
            )
            which_keys, keys = only.condition_for(table) if only else ("", ())
            query = (
                f"SELECT run_uuid, key, {columns} WHERE run_uuid IN ({chosen}) "
                f"{which_keys}"
            )
            values = {run_id: getattr(run.data, table) for run_id, run in runs.items()}
            for run_id, key, value, is_nan in connection.execute(
                query, [*wanted, *keys]
            ):
                if run_id in values:
                    values[run_id][intern(key)] = nan if is_nan else value
    return list(runs.values())


def tag_of_all(
    path: Path, tags: Mapping[str, str], name: str
) -> dict[str, tuple[str, bool]]:
    """The value of the tag ``name``, by the ids of the runs that have it and these
    ``tags``, and whether the run is active.

    Deleted runs, too. Raises ``sqlite3.Error`` like :func:`runs_with`.
    """
    chosen, wanted = _having(tags)
    with _reading(path) as connection:
        rows = connection.execute(TAG_OF_ALL.format(chosen=chosen), [name, *wanted])
        return {run_id: (value, bool(is_active)) for run_id, value, is_active in rows}


def curve_of(path: Path, run_id: str, name: str) -> list[tuple[int, float]]:
    """(step, value) of all values of a metric, by step. Raises ``sqlite3.Error`` like
    :func:`runs_with`.
    """
    with _reading(path) as connection:
        query = (
            "SELECT step, value, is_nan FROM metrics WHERE run_uuid = ? AND key = ? "
            "ORDER BY step, value"
        )
        return [
            (step, nan if is_nan else value)
            for step, value, is_nan in connection.execute(query, (run_id, name))
        ]


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection to the SQLite file that cannot write. Raises ``sqlite3.Error``.

    Where the folder cannot be written either, such as one that is mounted read-only,
    SQLite needs to be told that nobody else writes the file.
    """
    uri = f"{path.resolve().as_uri()}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as connection:
        try:
            connection.execute("SELECT name FROM sqlite_master LIMIT 1").fetchone()
        except sqlite3.OperationalError:
            if (
                os.access(path.parent, os.W_OK)
                or not os.access(path, os.R_OK)
                or _has_journal(path)
            ):
                raise
        else:
            yield connection
            return
    with closing(
        sqlite3.connect(f"{uri}&immutable=1", uri=True, isolation_level=None)
    ) as connection:
        yield connection


def _has_journal(path: Path) -> bool:
    journal = path.with_name(f"{path.name}-wal")
    return journal.is_file() and journal.stat().st_size > 0


def tables_in(path: Path) -> dict[str, set[str]]:
    """The names of the columns of each table of a SQLite file. Raises
    ``sqlite3.Error``.
    """
    with opened(path) as connection:
        return _tables(connection)


def _tables(connection: sqlite3.Connection) -> dict[str, set[str]]:
    names = [
        row[0]
        for row in connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table'"
        )
    ]
    query = "SELECT name FROM pragma_table_info(?)"
    return {
        name: {row[0] for row in connection.execute(query, [name])} for name in names
    }


@contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    """One state of the database, whatever others write meanwhile."""
    with opened(path) as connection:
        connection.execute("BEGIN")
        tables = _tables(connection)
        for table, columns in COLUMNS_READ.items():
            if missing := columns - tables.get(table, set()):
                raise sqlite3.NotSupportedError(
                    f"its table {table} has no column {min(missing)}"
                )
        yield connection
