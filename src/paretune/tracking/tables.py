"""Runs read from the tables of a SQLite store itself: without MLflow's import of a
second, and in a tenth of its time.

Read-only. A store whose tables have not the columns that are read is left to MLflow's
client (see :mod:`paretune.tracking.runs`). All functions raise ``sqlite3.Error`` for
such a store, and for a file that cannot be read.
"""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import nan
from pathlib import Path
from sys import intern

from paretune.tracking.database import columns_of, open_read_only
from paretune.tracking.entities import Part, Run, RunData, RunInfo, TagOfRun

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
SELECT_RUNS = """
    SELECT run_uuid, experiment_id, status, start_time, end_time, artifact_uri
    FROM runs JOIN experiments USING (experiment_id)
    WHERE {condition} AND run_uuid IN ({chosen})
    ORDER BY start_time, run_uuid
"""
SELECT_HAVING_TAG = "SELECT run_uuid FROM tags WHERE key = ? AND value = ?"
SELECT_TAG = f"""
    SELECT run_uuid, value, {IS_ACTIVE}
    FROM tags JOIN runs USING (run_uuid) JOIN experiments USING (experiment_id)
    WHERE key = ? AND run_uuid IN ({{chosen}})
"""
SELECT_CURVE = """
    SELECT step, value, is_nan FROM metrics WHERE run_uuid = ? AND key = ?
    ORDER BY step, value
"""
# Of the fields of a run's data: the columns that hold its values, and the table.
SELECTED_VALUES = {
    "tags": "value, 0 FROM tags",
    "params": "value, 0 FROM params",
    "metrics": "value, is_nan FROM latest_metrics",
}


@dataclass(frozen=True)
class SqlPart:
    """A part of a query in SQL, and its arguments."""

    text: str
    arguments: Sequence[str] = ()


def runs_with(
    file: Path,
    tags: Mapping[str, str],
    *,
    deleted: bool = False,
    only: Part | None = None,
) -> list[Run]:
    """All runs of the store in this file that have these tags (at least one), oldest
    first; or those that were ``deleted``.

    Of their tags, parameters and metrics all are read, or ``only`` a part of them.
    """
    condition = f"NOT {IS_ACTIVE}" if deleted else IS_ACTIVE
    with _read(file) as connection:
        return _select_runs(connection, _choose_by(tags), condition, only)


def run_of(file: Path, run_id: str) -> Run | None:
    """The run of this id, if the store has it and it is not deleted."""
    chosen = SqlPart("SELECT ?", [run_id])
    with _read(file) as connection:
        runs = _select_runs(connection, chosen, IS_ACTIVE, None)
    return next(iter(runs), None)


def _choose_by(tags: Mapping[str, str]) -> SqlPart:
    """The ids of the runs that have all these tags."""
    arguments: list[str] = []
    for name, value in tags.items():
        arguments += [name, value]
    return SqlPart(" INTERSECT ".join([SELECT_HAVING_TAG] * len(tags)), arguments)


def _select_runs(
    connection: sqlite3.Connection, chosen: SqlPart, condition: str, only: Part | None
) -> list[Run]:
    query = SELECT_RUNS.format(condition=condition, chosen=chosen.text)
    runs: dict[str, Run] = {}
    for run_id, experiment_id, *others in connection.execute(query, chosen.arguments):
        info = RunInfo(run_id, str(experiment_id), *others)
        runs[run_id] = Run(info, RunData())
    for field in SELECTED_VALUES:
        _fill(runs, connection, field, chosen, only)
    return list(runs.values())


def _fill(
    runs: Mapping[str, Run],
    connection: sqlite3.Connection,
    field: str,
    chosen: SqlPart,
    only: Part | None,
) -> None:
    """Put the values of a ``field`` (tags, params, metrics) into the data of the
    runs.
    """
    end = _narrow_to(only, field)
    query = (
        f"SELECT run_uuid, key, {SELECTED_VALUES[field]} "
        f"WHERE run_uuid IN ({chosen.text}) {end.text}"
    )
    arguments = [*chosen.arguments, *end.arguments]
    values = {run_id: getattr(run.data, field) for run_id, run in runs.items()}
    for run_id, key, value, is_nan in connection.execute(query, arguments):
        if run_id in values:
            values[run_id][intern(key)] = nan if is_nan else value


def _narrow_to(part: Part | None, field: str) -> SqlPart:
    """The end of a query of values of a ``field``, of which a ``part`` is read."""
    if part is None:
        return SqlPart("")
    if field == "params":
        return SqlPart("") if part.searched else SqlPart("AND 0")
    marks = ", ".join("?" * len(part.names))
    if field == "tags" and part.config:
        return SqlPart(f"AND (key IN ({marks}) OR key LIKE 'config%')", part.names)
    return SqlPart(f"AND key IN ({marks})", part.names)


def tag_of_all(file: Path, tags: Mapping[str, str], name: str) -> dict[str, TagOfRun]:
    """The tag ``name``, by the ids of the runs that have it and these ``tags``; of
    deleted runs, too.
    """
    chosen = _choose_by(tags)
    query = SELECT_TAG.format(chosen=chosen.text)
    found: dict[str, TagOfRun] = {}
    with _read(file) as connection:
        rows = connection.execute(query, [name, *chosen.arguments])
        for run_id, value, is_active in rows:
            found[run_id] = TagOfRun(value, bool(is_active))
    return found


def curve_of(file: Path, run_id: str, name: str) -> list[tuple[int, float]]:
    """(step, value) of all values of a metric, by step."""
    curve: list[tuple[int, float]] = []
    with _read(file) as connection:
        rows = connection.execute(SELECT_CURVE, (run_id, name))
        for step, value, is_nan in rows:
            curve.append((step, nan if is_nan else value))
    return curve


@contextmanager
def _read(file: Path) -> Iterator[sqlite3.Connection]:
    """One state of the database, whatever others write meanwhile."""
    with open_read_only(file) as connection:
        connection.execute("BEGIN")
        _check_columns(connection)
        yield connection


def _check_columns(connection: sqlite3.Connection) -> None:
    columns = columns_of(connection)
    for table, needed in COLUMNS_READ.items():
        if missing := needed - columns.get(table, set()):
            raise sqlite3.NotSupportedError(
                f"its table {table} has no column {min(missing)}"
            )
