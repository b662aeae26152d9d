"""Telling what a person gave as a store, without writing to it: a command that reads
has to know before MLflow makes its tables in it.
"""

import os
import sqlite3
from collections.abc import Collection
from pathlib import Path

from paretune.errors import StoreError, first_line
from paretune.paths import is_cut_off, sqlite_url
from paretune.retry import sqlite_codes_of
from paretune.tracking.database import columns_in

TABLES_OF_MLFLOW = {"experiments", "runs", "tags"}
TABLES_OF_OPTUNA = {"studies", "trials", "study_directions"}
TABLES_NAMED = 3  # of a database of something else
EXPECTED_FILE = "expected an MLflow store, the mlflow.db that a sweep writes"
REMEDIES = {
    sqlite3.SQLITE_NOTADB: "give the right file with --store or --uri",
    sqlite3.SQLITE_CORRUPT: "the file is damaged: put a backup back",
    sqlite3.SQLITE_BUSY: "another process holds it: wait, or stop that process",
}


def check_file(file: Path) -> None:
    """Raise :class:`~paretune.errors.StoreError`, with what it is, unless the file is a
    tracking store of MLflow.
    """
    if not file.exists():
        raise StoreError(
            f"tracking store `{file}` does not exist; run a sweep first (paretune "
            "sweep digits_demo), which writes it, or give the right folder with "
            "--store or PARETUNE_STORE"
        )
    if file.is_dir():
        raise StoreError(
            f"tracking store `{file}` is a folder; {EXPECTED_FILE}; give the file, or "
            "the folder with --store"
        )
    if not file.stat().st_size:
        raise StoreError(
            f"tracking store `{file}` is empty (0 bytes); {EXPECTED_FILE}; put a "
            "backup back, or delete the file to start anew"
        )
    if is_cut_off(file):
        raise StoreError(
            f"tracking store `{file}` is cut off, as a copy is that broke off; "
            f"{EXPECTED_FILE}; copy it again, or put a backup back"
        )
    check_tables(str(file), _tables_in(file))


def _tables_in(file: Path) -> Collection[str]:
    try:
        return columns_in(file).keys()
    except sqlite3.DatabaseError as error:
        raise StoreError(
            f"tracking store `{file}` cannot be used ({first_line(error)}); "
            f"{EXPECTED_FILE}; {_find_remedy(error)}"
        ) from error


def _find_remedy(error: sqlite3.Error) -> str:
    for code in sqlite_codes_of(error):
        if code in REMEDIES:
            return REMEDIES[code]
    return "check that this user may read the file and its folder"


def check_tables(name: str, tables: Collection[str]) -> None:
    """Raise :class:`~paretune.errors.StoreError` unless a database of these ``tables``
    is a tracking store of MLflow.
    """
    if set(tables) >= TABLES_OF_MLFLOW:
        return
    if set(tables) >= TABLES_OF_OPTUNA:
        raise StoreError(
            f"tracking store `{name}` is the study of a sweep (Optuna's); "
            f"{EXPECTED_FILE}; give that with --store or --uri"
        )
    names = ", ".join(sorted(tables)[:TABLES_NAMED]) or "none"
    raise StoreError(
        f"tracking store `{name}` is a database of something else (its tables: "
        f"{names}); {EXPECTED_FILE}; give that with --store or --uri"
    )


def tables_of_url(url: str) -> list[str]:
    """The names of the tables of any database."""
    from sqlalchemy import create_engine, inspect

    engine = create_engine(url)
    try:
        return inspect(engine).get_table_names()
    finally:
        engine.dispose()


def refuse_path(uri: str) -> None:
    """Raise :class:`~paretune.errors.StoreError` for a folder of files or a bare path,
    which MLflow no longer takes.
    """
    if _is_url(uri) or uri in ("databricks", "uc") or _may_be_folder():
        return
    database = _database_for(uri)
    raise StoreError(
        f"tracking.uri `{uri}` is a path, and MLflow keeps no more runs in plain "
        "files; expected the URL of a database or a "
        f"server; write {sqlite_url(database)} (mlflow migrate-filestore takes over "
        "the runs of a folder)"
    )


def _is_url(uri: str) -> bool:
    scheme = uri.partition(":")[0]
    return scheme in ("sqlite", "databricks") or ("://" in uri and scheme != "file")


def _may_be_folder() -> bool:
    """Whether a person told MLflow to take folders all the same."""
    setting = os.environ.get("MLFLOW_ALLOW_FILE_STORE", "")
    return setting.lower() in ("true", "1")


def _database_for(uri: str) -> Path:
    """The file of a database in the place of a folder or a path."""
    name = uri
    if uri.startswith("file:"):
        name = uri.removeprefix("file:").replace("//", "/", 1)
    path = Path(name).absolute()
    if path.suffix == ".db":
        return path
    return path / "mlflow.db"
