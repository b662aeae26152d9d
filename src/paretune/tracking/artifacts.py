"""The files of runs in a store of one folder: ``artifacts/RUN/artifacts/NAME`` beside
its database.

MLflow notes absolute paths. A store that was moved, copied or mounted elsewhere would
be read and written where it used to be; so Paretune reads and writes them by the place
of the store, and corrects what MLflow noted for its UI.
"""

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

MOVED = "UPDATE runs SET artifact_uri = ? WHERE run_uuid = ?"


def folder_of(root: Path, run_id: str) -> Path:
    """The folder for the files of a run, where MLflow looks for them too."""
    return root / run_id / "artifacts"


def local_folder(uri: str) -> Path | None:
    """The folder of this machine that an artifact URI names, if it names one."""
    if uri.startswith("/"):
        return Path(uri)
    return Path(url2pathname(urlsplit(uri).path)) if uri.startswith("file:") else None


def keep_file(root: Path, run_id: str, source: Path) -> None:
    """Copy a file to those of a run, whole or not at all."""
    target = _made(root, run_id) / source.name
    partial = target.with_name(f".{target.name}.partial")
    shutil.copyfile(source, partial)
    partial.replace(target)


def keep_text(root: Path, run_id: str, text: str, name: str) -> None:
    """Write a text to the files of a run, whole or not at all."""
    target = _made(root, run_id) / name
    partial = target.with_name(f".{name}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(target)


def _made(root: Path, run_id: str) -> Path:
    folder = folder_of(root, run_id)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def follow_move(file: Path, experiment: str, root: Path) -> str | None:
    """Have the database in ``file`` say that the experiment's files are in ``root``,
    where they are there.

    Returns where they were said to be, if that was elsewhere.
    """
    location = root.as_uri()
    with closing(sqlite3.connect(file, timeout=20)) as connection, connection:
        found = connection.execute(
            "SELECT experiment_id, artifact_location FROM experiments WHERE name = ?",
            [experiment],
        ).fetchone()
        if found is None or found[1] == location:
            return None
        experiment_id, before = found
        there = set(os.listdir(root)) if root.is_dir() else set()
        runs = connection.execute(
            "SELECT run_uuid FROM runs WHERE experiment_id = ?", [experiment_id]
        )
        moved = [
            (folder_of(root, run_id).as_uri(), run_id)
            for (run_id,) in runs
            if run_id in there
        ]
        connection.executemany(MOVED, moved)
        connection.execute(
            "UPDATE experiments SET artifact_location = ? WHERE experiment_id = ?",
            [location, experiment_id],
        )
    return str(before)
