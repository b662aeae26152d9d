"""Files that are there whole or not at all, whatever ends the process that writes
them.
"""

import errno
import os
from collections.abc import Iterator
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
    """A temporary folder whose files, those in folders of its own among them, move to
    ``folder`` when the block ends; after an error none does.

    ``folder`` is made at the end, if it is not there. Other files in it stay. Raises
    ``OSError`` where it cannot be written.
    """
    near = next(place for place in (folder, *folder.parents) if place.exists())
    with _temporary_below(near) as staged:
        yield staged
        _move(staged, folder)


@contextmanager
def _temporary_below(folder: Path) -> Iterator[Path]:
    try:
        temporary = TemporaryDirectory(dir=folder, prefix=".", suffix=".partial")
    except OSError as error:
        error.filename = str(folder)  # a person knows that one
        raise
    with temporary as name:
        yield Path(name)


def _move(staged: Path, folder: Path) -> None:
    files = sorted(file for file in staged.rglob("*") if file.is_file())
    targets = [folder / file.relative_to(staged) for file in files]
    for target in targets:
        if target.is_dir():
            raise _explain(IsADirectoryError, errno.EISDIR, target)
        if target.parent != folder and target.parent.is_file():
            raise _explain(NotADirectoryError, errno.ENOTDIR, target.parent)
    for file, target in zip(files, targets, strict=True):
        target.parent.mkdir(parents=True, exist_ok=True)
        file.replace(target)


def _explain(kind: type[OSError], number: int, path: Path) -> OSError:
    return kind(number, os.strerror(number), str(path))
