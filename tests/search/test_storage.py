"""A database that does not answer for a while."""

import pytest
from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.storages import RDBStorage

from paretune.errors import StoreError
from paretune.search import storage
from paretune.search.storage import CALLS, PatientStorage, patiently
from paretune.search.study import open_study


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch):
    monkeypatch.setattr(storage, "PAUSES_S", (0.0,))


def failing(times: int, last: Exception | None = None):
    """A call that finds the database away so many times; then it raises ``last`` or answers."""
    left = [times]

    @patiently
    def call() -> str:
        left[0] -= 1
        if left[0] >= 0:
            raise StorageInternalError
        if last:
            raise last
        return "answer"

    return call


def test_a_call_is_tried_until_the_database_is_back():
    assert failing(5)() == "answer"


def test_it_gives_up_in_the_end(monkeypatch):
    monkeypatch.setattr(storage, "AWAY_S", -1.0)

    with pytest.raises(StorageInternalError):
        failing(1)()


def test_a_trial_that_is_finished_when_asked_again_was_finished_by_the_first_try():
    assert failing(1, UpdateFinishedTrialError())() is True
    with pytest.raises(UpdateFinishedTrialError):
        failing(0, UpdateFinishedTrialError())()


def test_every_call_of_the_cache_waits():
    assert all(getattr(PatientStorage, name) is not getattr(RDBStorage, name) for name in CALLS)


def test_joining_a_sweep_that_nobody_started_is_refused(tmp_path):
    with pytest.raises(
        StoreError, match=r"study `none` is not in `sqlite:.*`; expected a sweep that was started; start it"
    ):
        open_study("none", f"sqlite:///{tmp_path}/optuna.db", ["minimize"], None, join=True)
