"""A study on MySQL or MariaDB that Optuna made alone."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import optuna
import pytest
from sqlalchemy import create_engine, inspect, text
from sqlalchemy.exc import OperationalError

from paretune.errors import StoreError
from paretune.search.stored_study import _choose_options, read_study
from server import free_port
from studies_of_others import add

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("cluster")]

STARTED_WITHIN_S = 30


@dataclass(frozen=True)
class MySql:
    """MariaDB on a loopback port; ``settings`` is the file that holds the password."""

    port: int
    settings: Path

    def url(self, database: str) -> str:
        address = f"127.0.0.1:{self.port}/{database}"
        return f"mysql+pymysql://{address}?read_default_file={self.settings}"


@contextmanager
def running(folder: Path) -> Iterator[MySql]:
    data, socket = folder / "data", folder / "socket"
    install = ["mariadb-install-db", f"--datadir={data}", "--user=root"]
    install.append("--auth-root-authentication-method=normal")
    subprocess.run(install, check=True, capture_output=True)
    port = free_port()
    options = ["--no-defaults", f"--datadir={data}", f"--socket={socket}"]
    options += [f"--port={port}", "--bind-address=127.0.0.1", "--user=root"]
    log = (folder / "log").open("w")
    server = subprocess.Popen(["mariadbd", *options], stderr=log)
    try:
        _make_databases(socket)
        settings = folder / "my.cnf"
        settings.write_text("[client]\nuser=ann\npassword=secret\n")
        yield MySql(port, settings)
    finally:
        server.terminate()
        server.wait()
        log.close()


def _make_databases(socket: Path) -> None:
    lines = "create database studies; create database empty; "
    lines += "create user 'ann'@'127.0.0.1' identified by 'secret'; "
    lines += "grant all on *.* to 'ann'@'127.0.0.1';"
    command = ["mariadb", "--no-defaults", f"--socket={socket}", "-e", lines]
    deadline_s = time.monotonic() + STARTED_WITHIN_S
    while subprocess.run(command, check=False, capture_output=True).returncode:
        assert time.monotonic() < deadline_s, "MariaDB does not start"
        time.sleep(0.2)


@pytest.fixture(scope="module")
def mysql(tmp_path_factory) -> Iterator[MySql]:
    pytest.importorskip("pymysql")
    if not shutil.which("mariadbd"):
        pytest.skip("mariadbd is not installed")
    with running(tmp_path_factory.mktemp("mysql")) as database:
        yield database


def test_a_study_on_mysql_is_read(mysql):
    study = optuna.create_study(
        study_name="theirs",
        storage=mysql.url("studies"),
        directions=["minimize", "maximize"],
    )
    add(study, (3, 0.5), (4, 0.6))

    assert len(read_study(mysql.url("studies"), "theirs").trials) == 2


def test_a_database_without_studies_stays_empty(mysql):
    url = mysql.url("empty")
    with pytest.raises(StoreError, match="holds no Optuna study"):
        read_study(url)

    assert inspect(create_engine(url)).get_table_names() == []


def test_nothing_is_written_on_mysql(mysql):
    url = mysql.url("empty")
    engine = create_engine(url, **_choose_options(url, None))
    with pytest.raises(OperationalError, match="READ ONLY"), engine.begin() as to:
        to.execute(text("create table more (number int)"))
