"""The files of a folder that a model is asked about, and the classes that the names of
their folders tell.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from paretune.data.file_kinds import FileKind
from paretune.errors import ConfigError
from paretune.paths import printable


@dataclass(frozen=True)
class Input:
    """A file, and its class if a folder that it is in is called after one."""

    path: Path
    label: str | None = None


def list_inputs(
    paths: Iterable[Path], kind: FileKind, class_names: Sequence[str]
) -> list[Input]:
    """The files, and in place of each folder the files of the ``kind`` below it, by
    their names.

    Raises :class:`~paretune.errors.ConfigError` for a folder without any.
    """
    inputs: list[Input] = []
    for path in paths:
        if path.is_dir():
            inputs += _list_folder(path, kind, class_names)
        else:
            inputs.append(Input(path))
    return inputs


def _list_folder(
    folder: Path, kind: FileKind, class_names: Sequence[str]
) -> list[Input]:
    files = sorted(_walk(folder, kind))
    if not files:
        raise ConfigError(
            f"folder `{printable(folder)}` holds no {kind.word} ({kind.formats}); give "
            "another folder, or files"
        )
    return [Input(file, _find_label(file, folder, class_names)) for file in files]


def _walk(folder: Path, kind: FileKind) -> Iterator[Path]:
    for path in folder.rglob("*"):
        is_hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if not is_hidden and kind.has(path) and path.is_file():
            yield path


def _find_label(file: Path, folder: Path, class_names: Sequence[str]) -> str | None:
    """The class that the nearest folder is called after; ``None`` if there is none.

    The folder itself may be that of a class, such as ``pictures/cat``.
    """
    names = [folder.resolve().name, *file.relative_to(folder).parts[:-1]]
    for name in reversed(names):
        if name in class_names:
            return name
    return None
