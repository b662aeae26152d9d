"""Where the trials of a study stand."""

import optuna
from hypothesis import given
from hypothesis import strategies as st
from optuna.trial import TrialState

from paretune.pause import Pause
from paretune.search.claims import pause
from paretune.search.standing import Standing

STATES = {
    "finished": TrialState.FAIL,
    "running": TrialState.RUNNING,
    "paused": TrialState.RUNNING,
    "queued": TrialState.WAITING,
}


def make_study(kinds: list[str]) -> optuna.Study:
    """A study with a trial of each kind."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study()
    for kind in kinds:
        study.add_trial(optuna.create_trial(state=STATES[kind]))
        if kind == "paused":
            trial = optuna.Trial(study, study.trials[-1]._trial_id)
            assert pause(study, trial, Pause(1, 0.1))
    return study


@given(st.lists(st.sampled_from(list(STATES)), max_size=6))
def test_each_trial_is_in_the_list_of_its_kind(kinds):
    now = Standing.read(make_study(kinds))

    for kind in STATES:
        expected = [number for number, one in enumerate(kinds) if one == kind]
        assert [trial.number for trial in getattr(now, kind)] == expected
    assert now.n_trials == len(kinds)
    assert now.n_begun == len(kinds) - kinds.count("queued")
