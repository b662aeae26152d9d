"""Files that are there whole or not at all, whatever ends the process that writes
them.
"""

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory


@contextmanager
def atomically(path: Path) -> Iterator[Path]:
    """Where to write what takes the place of ``path`` when the block ends; after an
    error ``path`` is what it was.

    The file to write has the same name and is on the same disk. Raises ``OSError``
    where it cannot be written.
    """
    with all_or_nothing(path.parent) as staged:
        yield staged / path.name


@contextmanager
def all_or_nothing(folder: Path) -> Iterator[Path]:
    """A temporary folder whose files move to ``folder`` when the block ends; after an
    error none does.

    ``folder`` is made at the end, if it is not there. Raises ``OSError`` where it
    cannot be written.
    """
    near = next(place for place in (folder, *folder.parents) if place.exists())
    with _temporary_below(near) as staged:
        yield staged
        _move(sorted(staged.iterdir()), folder)


@contextmanager
def _temporary_below(folder: Path) -> Iterator[Path]:
    try:
        temporary = TemporaryDirectory(dir=folder, prefix=".", suffix=".partial")
    except OSError as error:
        error.filename = str(folder)  # a person knows that one
        raise
    with temporary as name:
        yield Path(name)


def _move(files: Sequence[Path], folder: Path) -> None:
    for file in files:
        target = folder / file.name
        if target.is_dir():
            reason = os.strerror(errno.EISDIR)
            raise IsADirectoryError(errno.EISDIR, reason, str(target))
    folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        file.replace(folder / file.name)
