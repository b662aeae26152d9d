"""What a database is, told without writing to it: a command that reads has to know
before MLflow makes its tables in it.
"""

import sqlite3
from collections.abc import Collection
from pathlib import Path

from paretune.errors import StoreError, first_line
from paretune.paths import is_cut_off
from paretune.tracking.tables import tables_in

OF_MLFLOW = {"experiments", "runs", "tags"}
OF_OPTUNA = {"studies", "trials", "study_directions"}
EXPECTED = "expected an MLflow store, the mlflow.db that a sweep writes"


def check_file(file: Path) -> None:
    """Raise :class:`~paretune.errors.StoreError`, with what it is, unless the file is a
    tracking store of MLflow.
    """
    if not file.exists():
        raise StoreError(
            f"tracking store `{file}` does not exist; expected the file that a sweep "
            "writes; run one first "
            "(paretune sweep digits_demo), or give the right folder with --store or "
            "PARETUNE_STORE"
        )
    if file.is_dir():
        raise StoreError(
            f"tracking store `{file}` is a folder; {EXPECTED}; give the file, or the "
            "folder with --store"
        )
    if not file.stat().st_size:
        raise StoreError(
            f"tracking store `{file}` is empty (0 bytes); {EXPECTED}; put a backup "
            "back, or delete the file to start anew"
        )
    if is_cut_off(file):
        raise StoreError(
            f"tracking store `{file}` is cut off, as a copy is that broke off; "
            f"{EXPECTED}; copy it again, or put a backup back"
        )
    try:
        tables = tables_in(file)
    except sqlite3.DatabaseError as error:
        raise StoreError(
            f"tracking store `{file}` cannot be used ({first_line(error)}); "
            f"{EXPECTED}; {_mend(error)}"
        ) from error
    check_tables(str(file), tables)


def _mend(error: sqlite3.Error) -> str:
    if "not a database" in str(error):
        return "give the right file with --store or --uri"
    if "malformed" in str(error):
        return "the file is damaged: put a backup back"
    if "locked" in str(error):
        return "another process holds it: wait, or stop that process"
    return "check that this user may read the file and its folder"


def check_tables(name: str, tables: Collection[str]) -> None:
    """Raise :class:`~paretune.errors.StoreError` unless a database of these ``tables``
    is a tracking store of MLflow.
    """
    if set(tables) >= OF_MLFLOW:
        return
    if set(tables) >= OF_OPTUNA:
        raise StoreError(
            f"tracking store `{name}` is the study of a sweep (Optuna's); {EXPECTED}; "
            "give that with --store or --uri"
        )
    shown = ", ".join(sorted(tables)[:3]) or "none"
    raise StoreError(
        f"tracking store `{name}` is a database of something else (its tables: "
        f"{shown}); {EXPECTED}; give that with "
        f"--store or --uri"
    )
