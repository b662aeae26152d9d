"""A study in a SQLite file, written without waiting for the disk at every step.

With a write-ahead log a commit is in the file as soon as the system has it: whatever
ends a process, nothing is lost; only a power failure may take the last seconds
(https://www.sqlite.org/wal.html). With SQLite's default a commit waits for the disk, 5
to 15 ms each, and a trial has dozens of them.
"""

import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

# Whose machines do not share memory, which a write-ahead log needs.
NETWORK_FILE_SYSTEMS = (
    "9p",
    "afs",
    "beegfs",
    "ceph",
    "cifs",
    "fuse",
    "glusterfs",
    "gpfs",
    "lustre",
    "nfs",
    "smb",
)


class QuickConnection(sqlite3.Connection):
    """A connection whose commits do not wait for the disk."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        # A file that cannot be written, or that another process holds, stays as it is.
        with suppress(sqlite3.OperationalError):
            self.execute("PRAGMA journal_mode=WAL")
            self.execute("PRAGMA synchronous=NORMAL")


def choose_connection(file: Path) -> type[sqlite3.Connection]:
    """The kind of connection for a file: SQLite's own where it is on a network's file
    system.
    """
    kind = _find_file_system(file)
    if kind.startswith(NETWORK_FILE_SYSTEMS):
        return sqlite3.Connection
    return QuickConnection


def _find_file_system(file: Path) -> str:
    """The kind of file system that a file is on; empty if that is not known."""
    path = file.resolve()
    nearest = Path("/")
    kind = ""
    for partition in psutil.disk_partitions(all=True):
        place = Path(partition.mountpoint)
        is_above = path.is_relative_to(place)
        if is_above and len(place.parts) >= len(nearest.parts):
            nearest = place
            kind = partition.fstype
    return kind
