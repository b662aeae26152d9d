"""What asks took of a sweep's time."""

import time

import optuna
import pytest

from paretune.search import asks
from paretune.search.asks import describe_share, sum_asks_s
from paretune.search.study import open_study
from paretune.search.worker import work
from search.test_worker import DIRECTIONS, sampler, sweep


class SlowSampler(type(sampler())):
    """Takes a tenth of a second to propose."""

    def sample_relative(self, *arguments):
        time.sleep(0.1)
        return super().sample_relative(*arguments)


def slow() -> optuna.samplers.BaseSampler:
    made = sampler()
    made.__class__ = SlowSampler
    return made


@pytest.mark.parametrize("storage", [None, "sqlite:///{folder}/optuna.db"])
def test_asks_of_all_workers_add_up_over_the_trials_of_a_command(tmp_path, storage):
    url = storage and storage.format(folder=tmp_path)
    study = open_study("small", url, DIRECTIONS, slow())
    work(study, sweep(2), lambda trial, drawn: (1.0, 0.5))
    second_s = time.time()
    work(study, sweep(3), lambda trial, drawn: (1.0, 0.5))

    assert 0.1 <= sum_asks_s(study, second_s) < sum_asks_s(study, 0)
    assert sum_asks_s(study, 0) >= 0.3


def test_trials_of_earlier_versions_have_no_asks(tmp_path, monkeypatch):
    monkeypatch.setattr(asks, "note", lambda *arguments: None)
    study = open_study("small", None, DIRECTIONS, sampler())
    work(study, sweep(1), lambda trial, drawn: (1.0, 0.5))

    assert sum_asks_s(study, 0) == 0


@pytest.mark.parametrize(
    ("share", "words"),
    [(0.0, "0.0 %"), (0.004, "0.4 %"), (0.021, "2 %"), (0.5, "50 %"), (1.2, "100 %")],
)
def test_the_share_is_told_in_percent(share, words):
    assert describe_share(share) == f"asks took {words} of the time"
