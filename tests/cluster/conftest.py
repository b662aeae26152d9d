"""The three services, started once; the tests are skipped where this machine lacks one."""

import os
import shutil
import tempfile
from collections.abc import Iterator
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


@pytest.fixture(scope="session")
def slurm(folder: Path) -> Iterator[Slurm]:
    if reason := missing():
        pytest.skip(reason)
    cluster = Slurm(folder / "slurm")
    cluster.start()
    yield cluster
    cluster.stop()


@pytest.fixture(scope="session")
def postgres(folder: Path) -> Iterator[Postgres]:
    if reason := missing():
        pytest.skip(reason)
    database = Postgres(folder / "postgres")
    database.start()
    yield database
    database.stop()


@pytest.fixture(scope="session")
def server(folder: Path) -> Iterator[Server]:
    made = Server(folder / "server")
    made.start()
    yield made
    made.stop()
