"""The files of a run: in the folder of a SQLite store, else wherever MLflow keeps
them.
"""

import logging
import shlex
from pathlib import Path

from paretune.errors import StoreError, first_line
from paretune.paths import NO_ROOM
from paretune.tracking import artifacts
from paretune.tracking.entities import Run
from paretune.tracking.error_types import list_error_types
from paretune.tracking.schema import Tag
from paretune.tracking.store import Store

log = logging.getLogger(__name__)


def keep_file(store: Store, run_id: str, path: Path) -> None:
    """Add a copy of a file to a run."""
    if store.artifact_root:
        artifacts.copy_to_run(store.artifact_root, run_id, path)
    else:
        store.client.log_artifact(run_id, str(path))


def keep_text(store: Store, run_id: str, text: str, name: str) -> None:
    """Add a text to a run, as a file of this name."""
    if store.artifact_root:
        artifacts.write_to_run(store.artifact_root, run_id, text, name)
    else:
        store.client.log_text(run_id, text, name)


def find_local_file(store: Store, run: Run, name: str) -> Path | None:
    """A file of a run that lies on this machine; ``None`` if a server has it.

    It is looked for by the place of the store first, and then where MLflow noted it:
    the store may have been moved. Raises :class:`~paretune.errors.StoreError` if it
    should lie here and does not.
    """
    places = [folder / name for folder in _list_folders(store, run)]
    for place in places:
        if place.is_file():
            if place != places[0]:
                log.warning(
                    "%s of run %s is not in the store; it is read from %s",
                    name,
                    run.run_id,
                    place,
                )
            return place
    if not places or artifacts.local_folder(run.info.artifact_uri) is None:
        return None
    raise StoreError(
        f"{name} of run `{run.run_id}` is not at {' or '.join(map(str, places))}; put "
        f"the folder back if it was deleted or left behind, or {_train_again(run)}"
    )


def has_file(store: Store, run: Run, name: str) -> bool:
    """Whether a run has a file of this name.

    Raises :class:`~paretune.errors.StoreError` if a server that has its files does not
    answer.
    """
    if any((folder / name).is_file() for folder in _list_folders(store, run)):
        return True
    if artifacts.local_folder(run.info.artifact_uri) is not None:
        return False
    try:
        files = store.client.list_artifacts(run.run_id)
    except list_error_types() as error:
        raise StoreError(
            f"the files of run `{run.run_id}` cannot be had from `{store.uri}` "
            f"({first_line(error)}); try again"
        ) from error
    return name in [file.path for file in files]


def _list_folders(store: Store, run: Run) -> list[Path]:
    """Where the files of a run may lie, the likeliest first."""
    folders: list[Path] = []
    if store.file:
        root = store.artifact_root or store.file.resolve().parent / "artifacts"
        folders.append(artifacts.folder_of_run(root, run.run_id))
    noted = artifacts.local_folder(run.info.artifact_uri)
    if noted and noted not in folders:
        folders.append(noted)
    return folders


def download(store: Store, run: Run, name: str, folder: Path) -> Path:
    """A copy of a file of a run, in ``folder``.

    Raises :class:`~paretune.errors.StoreError`, or ``OSError`` if the disk is full.
    """
    try:
        copy = store.client.download_artifacts(run.run_id, name, str(folder))
    except list_error_types() as error:
        if isinstance(error, OSError) and error.errno in NO_ROOM:
            raise
        raise StoreError(
            f"{name} of run `{run.run_id}` cannot be had from `{store.uri}` "
            f"({first_line(error)}); restore it if it was deleted, or "
            f"{_train_again(run)}"
        ) from error
    return Path(copy)


def _train_again(run: Run) -> str:
    sweep = run.tags.get(Tag.SWEEP)
    if not sweep:
        return "train the model again"
    return (
        f"train the model again: paretune confirm {shlex.quote(sweep)} --run "
        f"{run.run_id[:8]}"
    )
