"""What is worked out of a trial once."""

from copy import deepcopy

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState

from paretune.search.per_trial import PerObject, PerTrial


def make_trial(number: int, state: TrialState = TrialState.FAIL) -> FrozenTrial:
    is_complete = state is TrialState.COMPLETE
    trial = optuna.create_trial(state=state, value=1.0 if is_complete else None)
    trial.number = number
    return trial


@pytest.mark.parametrize("state", [*TrialState])
def test_a_trial_is_worked_out_once_as_long_as_nothing_of_it_changes(state):
    asked: list[int] = []
    values = PerTrial(lambda trial: asked.append(trial.number))
    trial = make_trial(3, state)
    for _ in range(3):
        values.of(trial if state.is_finished() else deepcopy(trial))

    assert asked == [3]


@pytest.mark.parametrize(
    "change",
    [
        lambda trial: trial.set_user_attr("rung:3", [9, 0.5]),
        lambda trial: trial.system_attrs.update({"paretune:paused": {"epoch": 3}}),
        lambda trial: setattr(trial, "params", {"w": 3}),
        lambda trial: setattr(trial, "state", TrialState.RUNNING),
    ],
    ids=["attribute", "note", "parameter", "state"],
)
def test_a_trial_that_waits_is_worked_out_again_once_anything_of_it_changes(change):
    values = PerTrial(id)
    before = make_trial(0, TrialState.WAITING)
    after = deepcopy(before)
    change(after)

    assert values.of(before) == id(before)
    assert values.of(after) == id(after)


def test_another_trial_of_the_same_number_has_its_own_value():
    """A sampler may be asked for trials of several studies."""
    values = PerTrial(id)
    first, second = make_trial(0), make_trial(0)

    assert values.of(first) == id(first)
    assert values.of(second) == id(second)


def test_equal_objects_have_values_of_their_own():
    values: PerObject[int] = PerObject()
    first, second = {"x": 1}, {"x": 1}
    values.keep(first, 3)

    assert (values.get(first), values.get(second)) == (3, None)
