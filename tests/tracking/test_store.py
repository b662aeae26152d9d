import subprocess
import sys
from pathlib import Path

import pytest

from paretune.errors import ConfigError, StoreError
from paretune.tracking import (
    Store,
)


def test_the_store_lets_readers_read_while_one_writes(store):
    store.create()
    journal = Path(store.uri.removeprefix("sqlite:///") + "-wal")

    assert journal.exists()


def test_a_store_that_is_not_there_says_how_to_make_one(tmp_path):
    with pytest.raises(
        StoreError,
        match=(
            r"tracking store `.*/none.db` does not exist; .*paretune sweep "
            r"digits_demo.* PARETUNE_STORE"
        ),
    ):
        Store(f"sqlite:///{tmp_path}/none.db").open_for_reading()


def test_a_store_is_made_from_nothing(tmp_path):
    store = Store(
        f"sqlite:///{tmp_path}/a/b/mlflow.db", str(tmp_path / "a/artifacts"), "mine"
    )
    store.create()

    assert (
        store.client.get_experiment_by_name("mine").artifact_location
        == (tmp_path / "a/artifacts").as_uri()
    )


@pytest.mark.slow
def test_processes_may_make_a_store_at_the_same_time(tmp_path):
    store = Store(
        f"sqlite:///{tmp_path}/new/mlflow.db", str(tmp_path / "new/artifacts"), "tests"
    )
    make = (
        f"from paretune.tracking import Store; Store({store.uri!r}, "
        f"{store.artifacts!r}, 'tests').create()"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", make], stderr=subprocess.PIPE)
        for _ in range(4)
    ]

    assert [process.communicate()[1] for process in processes] == [b""] * 4
    assert store.experiment_id


@pytest.mark.parametrize(
    "uri", ["postgresql+psycopg://ann:secret@host/db", "http://ann:secret@host:5000"]
)
def test_a_password_in_the_uri_is_refused_and_not_repeated(uri):
    with pytest.raises(
        ConfigError,
        match=r"URL `.*://ann:\*\*\*@host.*` holds a password, .*PGPASSWORD or ~/.pgpass",
    ) as refusal:
        Store(uri)
    assert "secret" not in str(refusal.value)
