"""Where Paretune's own files are, and where its state is kept."""

import os
import sys
import tempfile
import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from errno import EDQUOT, ENOSPC
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from paretune.errors import StoreError


def _find_conf() -> Path:
    """The folder of the configs: in the installed package, else in the checkout."""
    installed = Path(__file__).parent / "conf"
    if installed.is_dir():
        return installed
    return Path(__file__).parents[2] / "conf"


CONF = _find_conf()
SWEEPS = CONF.parent / "sweeps"
# Of the working folder.
OWN_SWEEPS = (Path("sweeps"), Path("conf/sweeps"))
OWN_RECIPES = (Path("recipe"), Path("conf/recipe"))
NO_ROOM = {ENOSPC: "No space left on device", EDQUOT: "Disk quota exceeded"}
CONTROL_CATEGORIES = ("Cc", "Cs", "Zl", "Zp")  # of Unicode
SQLITE_MAGIC = b"SQLite format 3\0"
PRIMARY_CODE = 0xFF  # of SQLite's error codes: the part that tells the kind
LARGEST_PAGE_BYTES = 65536  # which SQLite writes as 1


def sweep_names() -> list[str]:
    """The names of the sweeps of the working folder and of Paretune's own."""
    names: set[str] = set()
    for folder in (*OWN_SWEEPS, SWEEPS):
        names.update(path.stem for path in folder.glob("*.yaml"))
    return sorted(names)


def recipe_names() -> list[str]:
    """The names of the recipes of the working folder and of Paretune's own, those of a
    folder of recipes with its name: ``zoo/mnist_193``.
    """
    names: set[str] = set()
    for folder in (*OWN_RECIPES, CONF / "recipe"):
        for path in folder.rglob("*.yaml"):
            names.add(path.relative_to(folder).with_suffix("").as_posix())
    return sorted(names)


def store() -> Path:
    """The folder for all state of this machine: ``PARETUNE_STORE``, else ``mlruns`` in
    the working folder.
    """
    return Path(os.environ.get("PARETUNE_STORE", "mlruns")).resolve()


def cache() -> Path:
    """Where this user's compiled kernels and decoded pictures are kept: ``paretune`` in
    ``XDG_CACHE_HOME``, else in ``~/.cache``.

    Raises ``RuntimeError`` for a user without a home folder.
    """
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "paretune"


def printable(name: Path | str) -> str:
    r"""A file's name as text that any terminal, log or config can hold.

    Bytes that are not UTF-8 and control characters, a line's end too, become such as
    ``\xe9``.
    """
    return "".join(_printable(char) for char in str(name))


def _printable(char: str) -> str:
    if "\udc80" <= char <= "\udcff":  # how Python holds a byte that is not UTF-8
        return f"\\x{ord(char) - 0xDC00:02x}"
    if unicodedata.category(char) in CONTROL_CATEGORIES:
        return char.encode("unicode_escape").decode()
    return char


def tracking_uri(folder: Path | str) -> str:
    """The tracking URI of the MLflow database in such a folder."""
    return sqlite_url(Path(folder) / "mlflow.db")


def sqlite_url(path: Path | str) -> str:
    """The SQLAlchemy URL of a SQLite file. What means something in URLs, such as ``?``
    and ``%``, is escaped.
    """
    # Takes a sixth of a second, which no --help should pay for.
    from sqlalchemy.engine.url import URL

    return URL.create("sqlite", database=str(path)).render_as_string(
        hide_password=False
    )


def sqlite_file(url: str) -> Path | None:
    """The file of a SQLite URL; ``None`` for any other URL, and for a database in
    memory.

    Raises ``sqlalchemy.exc.ArgumentError`` for what is no URL.
    """
    if not url.startswith("sqlite"):
        return None
    from sqlalchemy.engine.url import make_url

    database = make_url(url).database
    if not database or database == ":memory:":
        return None
    if database.startswith("file:"):
        return Path(url2pathname(urlsplit(database).path))
    return Path(database)


def is_sqlite(file: Path) -> bool:
    """Whether a file is a SQLite database, however damaged."""
    if _can_be_read(file):
        return True
    with file.open("rb") as stream:
        return stream.read(len(SQLITE_MAGIC)) == SQLITE_MAGIC


def _can_be_read(file: Path) -> bool:
    """Whether SQLite reads the whole file, or cannot say now, as another process holds
    it.

    SQLite is asked before the file is opened: as soon as a process closes any file, all
    of its locks on it are gone, those of its open connections, too. The last connection
    of another process would take the journal away below them
    (https://www.sqlite.org/howtocorrupt.html, 2.2).
    """
    import sqlite3

    url = f"{file.resolve().as_uri()}?mode=ro"
    try:
        with closing(sqlite3.connect(url, uri=True)) as connection:
            connection.execute("SELECT name FROM sqlite_master LIMIT 1").fetchone()
            (n_pages,) = connection.execute("PRAGMA page_count").fetchone()
            (page_bytes,) = connection.execute("PRAGMA page_size").fetchone()
    except sqlite3.DatabaseError as error:
        code = getattr(error, "sqlite_errorcode", 0) & PRIMARY_CODE
        return code not in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
    # A part of the first page is an empty database to SQLite, and it misses the last
    # pages only when it needs them. Some may be in the journal yet.
    is_whole = n_pages > 0 and file.stat().st_size >= n_pages * page_bytes
    return is_whole or file.with_name(f"{file.name}-wal").exists()


def is_cut_off(file: Path) -> bool:
    """Whether a SQLite file is shorter than its first bytes say, as a copy is that
    broke off.
    """
    if _can_be_read(file):
        return False
    with file.open("rb") as stream:
        header = stream.read(32)
    if not header.startswith(SQLITE_MAGIC):
        return False
    if file.with_name(f"{file.name}-journal").exists():
        # In the middle of a change, which the next reader takes back.
        return False
    # https://www.sqlite.org/fileformat.html
    page_bytes = int.from_bytes(header[16:18], "big")
    if page_bytes == 1:
        page_bytes = LARGEST_PAGE_BYTES
    pages = int.from_bytes(header[28:32], "big")
    return file.stat().st_size < pages * page_bytes


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder that is gone after the block.

    Raises :class:`~paretune.errors.StoreError` if the disk that it is on is full.
    """
    with tempfile.TemporaryDirectory() as name:
        try:
            yield Path(name)
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            raise StoreError(
                f"temporary folder `{tempfile.gettempdir()}` is full "
                f"({NO_ROOM[error.errno]}); free some space, or name another folder: "
                "TMPDIR=..."
            ) from error


def import_from_working_folder() -> None:
    """Let a setting such as ``model._target_=my_models.MyNet`` name what a module of
    the working folder holds.

    Installed modules come first: a file that happens to have the name of one does not
    take its place.
    """
    if (folder := os.getcwd()) not in sys.path:
        sys.path.append(folder)


def data_now(data: Mapping[str, Any]) -> dict[str, Any]:
    """The ``data`` section of a run's config, with its files where ``PARETUNE_DATA``
    says now.
    """
    now = dict(data)
    if "root" in data and "PARETUNE_DATA" in os.environ:
        now["root"] = os.environ["PARETUNE_DATA"]
    return now
