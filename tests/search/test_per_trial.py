"""What is worked out of a trial once."""

import optuna
from optuna.trial import FrozenTrial, TrialState

from paretune.search.per_trial import PerObject, PerTrial


def make_trial(number: int, state: TrialState = TrialState.FAIL) -> FrozenTrial:
    trial = optuna.create_trial(state=state)
    trial.number = number
    return trial


def test_a_finished_trial_is_worked_out_once_and_an_open_one_each_time():
    asked: list[int] = []
    values = PerTrial(lambda trial: asked.append(trial.number))
    finished = make_trial(0)
    running = make_trial(1, TrialState.RUNNING)
    for _ in range(3):
        values.of(finished)
        values.of(running)

    assert asked == [0, 1, 1, 1]


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
