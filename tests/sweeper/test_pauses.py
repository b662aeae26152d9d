"""A sweep whose trials wait at rungs, with real trainings."""

import shlex
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from paretune.experiment import STATE_FILE
from paretune.search.pausing import read_pause
from small_sweep import SMALL_SWEEP, n_trials, run_sweep

# What is made once for all is made by one worker.
pytestmark = pytest.mark.xdist_group("pauses")

PAUSES = (
    "trainer.max_epochs=4",
    "hydra.sweeper.race.eta=2",
    "hydra.sweeper.race.rungs=2",
    "hydra.sweeper.race.min_epochs=1",
    "hydra.sweeper.race.pause_from_s=0",
)


@pytest.fixture(scope="module")
def swept(tmp_path_factory) -> Path:
    store = tmp_path_factory.mktemp("store")
    run_sweep(
        store, *SMALL_SWEEP, *PAUSES, "hydra.sweeper.race.pause=true", n_trials(8)
    )
    return store


def read_trials(store: Path) -> list[optuna.trial.FrozenTrial]:
    study = optuna.load_study(
        study_name="small", storage=f"sqlite:///{store}/optuna.db"
    )
    return study.trials


def test_every_trial_is_complete_or_stopped_in_the_end(swept):
    states = [trial.state for trial in read_trials(swept)]

    assert len(states) == 8
    assert TrialState.COMPLETE in states
    assert set(states) <= {TrialState.COMPLETE, TrialState.PRUNED}


def test_a_complete_trial_has_waited_and_leaves_no_state(swept):
    complete = [t for t in read_trials(swept) if t.state is TrialState.COMPLETE]

    for trial in complete:
        where = read_pause(trial)
        assert where
        assert where.epoch == 2
        assert not list(swept.rglob(f"*/{trial.number}/{STATE_FILE}"))


def test_a_trial_that_waited_has_the_numbers_of_one_that_did_not(swept, tmp_path):
    trial = next(t for t in read_trials(swept) if t.state is TrialState.COMPLETE)
    line = shlex.split(trial.user_attrs["overrides"])
    run_sweep(tmp_path, *SMALL_SWEEP, *PAUSES[:1], *line, n_trials(1))
    [straight] = read_trials(tmp_path)

    assert straight.values == trial.values
