"""Writing what processes that are gone left in a store's spool."""

import logging
from pathlib import Path

from paretune.errors import StoreError, first_line
from paretune.retry import FaultError
from paretune.tracking.refusals import is_forbidden
from paretune.tracking.spool import SpoolFolder, folders_of, set_aside
from paretune.tracking.steps import RunWriter
from paretune.tracking.store import Store

log = logging.getLogger(__name__)

LONGEST_REASON = 300  # characters


def write_leftovers(store: Store) -> int:
    """Send what processes that are gone left in the store's spool; returns how many
    runs are left there after that.

    What cannot be written, as its folder is damaged or the store refuses it, is set
    aside. Raises :class:`~paretune.retry.FaultError` if the store cannot be used.
    """
    spool = store.spool_folder
    if spool is None or not spool.is_dir():
        return 0
    left = 0
    for path in folders_of(spool):
        try:
            _write_leftover(store, path)
        except (BlockingIOError, FileNotFoundError):
            # Its process lives, or has just ended it.
            continue
        left += path.is_dir()
    return left


def has_waiting(store: Store) -> bool:
    """Whether runs wait in the store's spool."""
    return store.spool_folder is not None and bool(folders_of(store.spool_folder))


def _write_leftover(store: Store, path: Path) -> None:
    """Send what a folder holds, or set it aside. Raises ``BlockingIOError``,
    ``FileNotFoundError`` like :meth:`SpoolFolder.take_over`.
    """
    try:
        folder = SpoolFolder.take_over(path)
    except (NotADirectoryError, IsADirectoryError):
        set_aside(path, "it is no folder of a run")
        return
    try:
        RunWriter(store, folder).close()
    except FaultError:
        raise
    except StoreError as error:
        _leave_or_set_aside(path, error)
    # Whatever the arguments of a damaged step make of the store's functions.
    except Exception as error:
        set_aside(path, _describe(error))
    finally:
        folder.release()


def _leave_or_set_aside(path: Path, error: StoreError) -> None:
    if is_forbidden(error):
        log.warning(
            "a run of %s is refused (%s); its steps stay there", path, _describe(error)
        )
    else:
        set_aside(path, _describe(error))


def _describe(error: Exception) -> str:
    return first_line(error)[:LONGEST_REASON]
