"""The three services, started once; the tests are skipped where this machine lacks
one.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cluster.services import Postgres, Slurm, missing
from server import Server


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    """A folder that the user postgres can reach."""
    made = Path(tempfile.mkdtemp(prefix="paretune-cluster-"))
    made.chmod(0o755)
    yield made
    if not os.environ.get("KEEP"):
        shutil.rmtree(made, ignore_errors=True)


@contextmanager
def running(service):
    service.start()
    yield service
    service.stop()


@pytest.fixture(scope="session")
def needed() -> None:
    if reason := missing():
        pytest.skip(reason)


@pytest.fixture(scope="session")
def slurm(folder: Path, needed: None) -> Iterator[Slurm]:
    with running(Slurm(folder / "slurm")) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def postgres(folder: Path, needed: None) -> Iterator[Postgres]:
    with running(Postgres(folder / "postgres")) as database:
        yield database


@pytest.fixture(scope="session")
def server(folder: Path) -> Iterator[Server]:
    with running(Server(folder / "server")) as made:
        yield made
