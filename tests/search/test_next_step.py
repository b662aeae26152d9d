"""What a second of a trial is worth."""

from dataclasses import replace
from math import inf, nan

import numpy as np
import pytest
from optuna.distributions import IntDistribution

from paretune.pause import Pause
from paretune.search.columns import Columns
from paretune.search.feasible_space import FeasibleSpace
from paretune.search.front_model import FrontModel
from paretune.search.guessed_durations import GuessDuration, GuessedDurations
from paretune.search.next_step import StepValues
from paretune.search.observations import History, Observation
from paretune.search.partial_curves import PartialCurve
from paretune.search.space import Space
from search.settings import RACE

SPACE = Space(common={f"w{i}": IntDistribution(2, 20) for i in range(14)})
FEASIBLE = FeasibleSpace(SPACE, lambda params: sum(params.values()), 280)
SEEN = [
    Observation(dict.fromkeys(SPACE.common, width), -width / 9, None)
    for width in range(2, 12)
]
MIDDLE = dict.fromkeys(SPACE.common, 10)
WAITING = PartialCurve(MIDDLE, {1: -0.5}, pause=Pause(1, 2.0, 16))


def make_values(*seen: PartialCurve) -> StepValues:
    model = FrontModel(FEASIBLE, 0.0, Columns(SPACE), History(seen=SEEN))
    return StepValues(model, RACE, [WAITING, *seen])


def make_guessing(guess: GuessDuration) -> StepValues:
    return StepValues(make_values().model, RACE, [WAITING], GuessedDurations(guess))


@pytest.mark.parametrize(
    "better",
    [
        replace(WAITING, rung_losses={1: -2.0}),
        replace(WAITING, pause=Pause(1, 1.0, 16)),
        replace(WAITING, params=dict.fromkeys(SPACE.common, 9)),
    ],
    ids=["loss", "seconds", "cost"],
)
def test_a_trial_is_worth_more_that_is_better_or_sooner_at_its_end(better):
    worth = make_values().value_waiting([WAITING, better])

    assert 0 < worth[0] < worth[1]


def test_what_others_fell_by_that_had_as_much_is_expected():
    at_chance = replace(WAITING, rung_losses={1: 0.0})
    good = replace(WAITING, rung_losses={1: -2.0})
    ended = [replace(at_chance, end_loss=0.0)] * 9 + [replace(good, end_loss=-4.0)] * 9
    before = make_values().value_waiting([at_chance, good])
    after = make_values(*ended).value_waiting([at_chance, good])

    assert after[0] < before[0]
    assert after[1] > before[1]


def test_a_new_trial_is_worth_less_where_epochs_take_longer():
    quick = make_values().value_new([MIDDLE])
    slow = replace(WAITING, pause=Pause(1, 20.0, 16))
    values = StepValues(make_values().model, RACE, [slow])

    assert 0 < values.value_new([MIDDLE])[0] < quick[0] / 5


def test_seconds_of_a_training_follow_the_settings():
    narrow, wide = (dict.fromkeys(SPACE.common, width) for width in (3, 18))
    slow = Pause(1, 9.0, 16, begin_s=50.0)
    timed = [replace(WAITING, params=narrow), replace(WAITING, params=wide, pause=slow)]
    seconds = make_values(*timed * 4).times.predict([narrow, MIDDLE, wide])

    assert (np.diff(seconds) > 0).all()
    assert seconds.min() >= 2.0 * 16
    assert 9.0 * 16 < seconds.max() <= 50.5 + 9.0 * 16


def test_a_guess_of_the_seconds_is_in_the_seconds_of_trials_that_were_timed():
    values = make_guessing(lambda params: params["w0"] / 1000)

    assert values.times.predict([dict.fromkeys(SPACE.common, 20)]) == pytest.approx(
        2 * (0.5 + 2.0 * 16)
    )


@pytest.mark.parametrize("guessed", [nan, inf, 0.0, -1.0])
def test_a_guess_that_is_no_duration_makes_no_trial_worth_all(guessed):
    values = make_guessing(lambda params: 1.0 if params == MIDDLE else guessed)
    [worth] = values.value_new([dict.fromkeys(SPACE.common, 11)])
    none_known = make_guessing(lambda params: guessed).value_new([MIDDLE])

    assert 0 <= worth < 1
    assert np.isfinite(none_known).all()


def test_the_new_trial_that_is_worth_most_is_one_that_is_guessed_to_be_quick():
    alike = [dict.fromkeys(SPACE.common, 10) | {"w0": width} for width in (9, 11)]
    first, _ = make_guessing(lambda params: 1.0 + (params["w0"] == 11)).choose_new(
        alike
    )
    last, _ = make_guessing(lambda params: 1.0 + (params["w0"] == 9)).choose_new(alike)

    assert (first, last) == (0, 1)


def test_without_a_guess_the_new_trial_that_is_worth_most_is_that_by_other_trials():
    values = make_values()
    candidates = [dict.fromkeys(SPACE.common, width) for width in (4, 12, 19)]
    worths = values.value_new(candidates)

    assert values.choose_new(candidates) == (worths.argmax(), worths.max())


def test_what_a_trial_took_before_its_first_epoch_is_not_taken_again():
    slow_start = replace(WAITING, pause=Pause(1, 2.0, 16, begin_s=500.0))
    worth = make_values().value_waiting([WAITING, slow_start])

    assert worth[0] == worth[1]
