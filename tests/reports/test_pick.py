"""The model to take is one that can be used."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paretune.errors import StoreError
from paretune.reports.pick import describe_rule, pick_model, pick_or_refuse
from paretune.reports.query import Query
from reports.tables import results_of, training, trial

SCORES = st.lists(st.floats(0.15, 1.0), min_size=1, max_size=9)


def params_of(picked: Any) -> int:
    return int(picked["n_params"])


def trial_of_classes(number: int, params: int, f1: float, classes: int) -> Any:
    row = trial(number, params, f1)
    row["config"]["model"]["num_classes"] = classes
    return row


def test_a_corner_of_the_front_with_half_the_score_is_not_taken():
    results = results_of([trial(0, 290, 0.5546), trial(1, 900, 1.0)])

    assert params_of(pick_model(results)) == 900


def test_it_is_the_smallest_of_those_near_to_the_best():
    f1s = [0.90, 0.9951, 0.9990, 1.0]
    results = results_of([trial(n, 100 + n, f1) for n, f1 in enumerate(f1s)])

    assert params_of(pick_model(results)) == 101
    assert describe_rule(results) == "the smallest within 0.005 of the best"


def test_a_larger_standard_error_of_the_validation_f1_counts():
    rows = [trial(0, 100, 0.91), trial(1, 900, 0.93, val_f1_se=0.03)]
    results = results_of(rows)

    assert params_of(pick_model(results)) == 100
    assert "within the standard error of the best, 0.0300" in describe_rule(results)


def test_a_larger_standard_error_of_confirmed_seeds_counts():
    rows = [trial(0, 100, 0.9), trial(1, 900, 0.95)]
    best = f"{1:032x}"
    trainings = [training(1, 0.93), training(1, 0.90, run=best)]
    trainings.append(training(2, 0.98, run=best))
    results = results_of(rows, *trainings, query=Query(confirmed=True))

    assert params_of(pick_model(results)) == 100


def test_below_a_bound_it_is_the_best_that_fits():
    rows = [trial(0, 100, 0.97), trial(1, 200, 0.972), trial(2, 900, 0.99)]
    results = results_of(rows, query=Query({"params": 500}))

    assert params_of(pick_model(results)) == 200


def test_a_model_below_a_stated_f1_is_not_taken():
    rows = [trial(0, 100, 0.966), trial(1, 200, 0.970)]
    results = results_of(rows, query=Query(min_f1=0.968))

    assert params_of(pick_model(results)) == 200


@pytest.mark.parametrize("bounds", [{}, {"params": 500}])
def test_a_front_that_is_near_chance_has_no_model_to_take(bounds):
    rows = [trial_of_classes(0, 100, 0.48, classes=2)]
    results = results_of(rows, query=Query(bounds))

    assert pick_model(results) is None
    with pytest.raises(StoreError) as refusal:
        pick_or_refuse(results)
    assert str(refusal.value) == (
        "sweep `demo` has no model to take: the best has F1 0.4800, which is near "
        "chance (0.50 with 2 classes); let it run on, or name one with --run"
    )


@given(SCORES)
def test_what_is_taken_is_on_the_front_and_near_to_the_best(scores):
    rows = [trial_of_classes(n, 100 + n, f1, classes=20) for n, f1 in enumerate(scores)]
    results = results_of(rows)
    picked = pick_model(results)

    best = results.members.iloc[-1]
    near = max(0.005, best["val_f1_se"])
    assert picked["run_id"] in set(results.members["run_id"])
    assert picked["val_f1"] >= best["val_f1"] - near - 1e-9  # errors are rounded
