from dataclasses import replace

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState, create_trial

from paretune.errors import ConfigError, SweepError
from paretune.search.claims import fail
from paretune.search.stopping import compute_losses, is_flat
from search.settings import LIMITS

TWO = ("minimize", "maximize")


def study_of(
    *values: tuple[float, ...] | None, directions: tuple[str, ...] = TWO
) -> optuna.Study:
    """A study with these finished trials; ``None`` is a failed one."""
    study = optuna.create_study(directions=directions)
    for one in values:
        state = TrialState.FAIL if one is None else TrialState.COMPLETE
        space = {"x": FloatDistribution(0, 1)}
        study.add_trial(
            create_trial(
                values=one, state=state, params={"x": 0.5}, distributions=space
            )
        )
    return study


def test_a_sweep_is_flat_when_the_last_trials_are_all_dominated():
    study = study_of((100, 0.9), (200, 0.95), (150, 0.8), (300, 0.94))

    assert is_flat(study, 2, tolerance=0.0)
    assert not is_flat(study, 3, tolerance=0.0)


def test_a_sweep_of_one_size_is_not_flat_while_its_score_rises():
    study = study_of((100, 0.5), (100, 0.7), (100, 0.9))

    assert not is_flat(study, 1, tolerance=0.01)


def test_a_gain_within_the_tolerance_is_flat():
    study = study_of((100, 0.5), (1000, 0.95), (999, 0.95))

    assert not is_flat(study, 1, tolerance=0.0)
    assert is_flat(study, 1, tolerance=0.01)


def test_one_objective_is_flat_when_its_best_value_stays():
    values = [(3.0,), (1.0,), (2.0,), (1.5,)]

    assert is_flat(study_of(*values, directions=("minimize",)), 2, tolerance=0.0)
    assert not is_flat(study_of(*values, directions=("maximize",)), 4, tolerance=0.0)


def test_costs_and_scores_become_logarithms_and_other_numbers_stay():
    assert compute_losses(
        study_of((1.0, 0.0)).trials, study_of().directions
    ).tolist() == [[0.0, 0.0]]
    assert compute_losses(
        study_of((-1.0, 5.0)).trials, study_of().directions
    ).tolist() == [[-1.0, -5.0]]


def test_too_many_failures_end_a_sweep():
    with pytest.raises(
        SweepError, match=r"2 trials of 3 failed, more than the share 0.5 it allows"
    ):
        replace(LIMITS, n_trials=3).reached(study_of(None, None))


def test_the_error_of_the_first_trial_that_failed_is_in_the_message_in_a_line():
    study = study_of()
    for reason in ("KeyError: 'x'\n  full_key: a.x", "ValueError: later"):
        fail(study, study.ask(), reason)

    with pytest.raises(
        SweepError,
        match=(
            r"trial 0: KeyError: 'x' full_key: a.x; their tracebacks are in the logs "
            r"in their folders"
        ),
    ):
        replace(LIMITS, n_trials=3).reached(study)


def test_failures_before_the_same_command_ran_again_do_not_count():
    study, limits = study_of(None, None), replace(LIMITS, n_trials=4)
    limits.begin(study)

    assert limits.reached(study) is None


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"n_trials": 2}, "its total is reached"),
        ({"timeout_s": 0}, "its time is over"),
        ({"flat_trials": 1}, "the last 1 trials added nothing to its hypervolume"),
        ({}, None),
    ],
)
def test_a_sweep_is_over_for_a_reason(changes, reason):
    study, limits = study_of((100, 0.9), (200, 0.8)), replace(LIMITS, **changes)
    limits.begin(study)

    assert limits.reached(study) == reason


def test_without_a_total_trials_may_always_begin():
    limits = replace(LIMITS, n_trials=None)

    assert limits.leaves_room(study_of(), 10**6)
    assert limits.reached(study_of((100, 0.9), (200, 0.8))) is None


def test_without_a_total_a_share_of_the_trials_so_far_may_fail():
    limits = replace(LIMITS, n_trials=None, max_failure_rate=0.5)
    failed = [None] * 11

    assert limits.reached(study_of(*failed[:10])) is None
    assert limits.reached(study_of(*failed, *[(100, 0.9)] * 11)) is None
    with pytest.raises(SweepError, match="11 trials of 20 failed"):
        limits.reached(study_of(*failed))


def test_a_limit_below_what_makes_sense_is_refused():
    with pytest.raises(
        ConfigError,
        match=(
            r"hydra.sweeper.flat_trials `0` is invalid; expected a whole number of at "
            r"least 1"
        ),
    ):
        replace(LIMITS, flat_trials=0)
