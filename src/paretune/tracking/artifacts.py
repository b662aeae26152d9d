"""The files of runs in a store of one folder: ``artifacts/RUN/artifacts/NAME`` beside
its database.

MLflow notes absolute paths. A store that was moved, copied or mounted elsewhere would
be read and written where it used to be; so Paretune reads and writes them by the place
of the store, and corrects what MLflow noted for its UI.
"""

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

BUSY_TIMEOUT_S = 20.0  # for a database that is busy
SELECT_EXPERIMENT = """
    SELECT experiment_id, artifact_location FROM experiments WHERE name = ?
"""
SELECT_RUN_IDS = "SELECT run_uuid FROM runs WHERE experiment_id = ?"
MOVE_RUN = "UPDATE runs SET artifact_uri = ? WHERE run_uuid = ?"
MOVE_EXPERIMENT = """
    UPDATE experiments SET artifact_location = ? WHERE experiment_id = ?
"""


def folder_of_run(root: Path, run_id: str) -> Path:
    """The folder for the files of a run, where MLflow looks for them too."""
    return root / run_id / "artifacts"


def local_folder(uri: str) -> Path | None:
    """The folder of this machine that an artifact URI names, if it names one."""
    if uri.startswith("/"):
        return Path(uri)
    if uri.startswith("file:"):
        return Path(url2pathname(urlsplit(uri).path))
    return None


def copy_to_run(root: Path, run_id: str, source: Path) -> None:
    """Copy a file to those of a run, whole or not at all."""
    with _write_whole(root, run_id, source.name) as partial:
        shutil.copyfile(source, partial)


def write_to_run(root: Path, run_id: str, text: str, name: str) -> None:
    """Write a text to the files of a run, whole or not at all."""
    with _write_whole(root, run_id, name) as partial:
        partial.write_text(text, encoding="utf-8")


@contextmanager
def _write_whole(root: Path, run_id: str, name: str) -> Iterator[Path]:
    folder = folder_of_run(root, run_id)
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f".{name}.partial"
    yield partial
    partial.replace(folder / name)


def follow_move(file: Path, experiment: str, root: Path) -> str | None:
    """Have the database in ``file`` say that the experiment's files are in ``root``,
    where they are there.

    Returns where they were said to be, if that was elsewhere.
    """
    location = root.as_uri()
    with closing(sqlite3.connect(file, timeout=BUSY_TIMEOUT_S)) as database, database:
        found = database.execute(SELECT_EXPERIMENT, [experiment]).fetchone()
        if found is None or found[1] == location:
            return None
        experiment_id, before = found
        _move_runs(database, experiment_id, root)
        database.execute(MOVE_EXPERIMENT, [location, experiment_id])
    return str(before)


def _move_runs(database: sqlite3.Connection, experiment_id: int, root: Path) -> None:
    """Correct where the files of those runs are that ``root`` has."""
    there: set[str] = set()
    if root.is_dir():
        there.update(os.listdir(root))
    rows = database.execute(SELECT_RUN_IDS, [experiment_id])
    for (run_id,) in rows.fetchall():
        if run_id in there:
            database.execute(MOVE_RUN, [folder_of_run(root, run_id).as_uri(), run_id])
