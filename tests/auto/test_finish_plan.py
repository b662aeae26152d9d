"""Which models are finished, and how thoroughly."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paretune.auto.finish_plan import (
    MOST_MEMBERS,
    FinishPlan,
    Member,
    Time,
    choose_representatives,
    find_nearest,
    guess_s,
    keep_better,
    keep_useful,
    plan_finish,
    thin,
)

DAY_S = 86_400.0


def make_front(scores, epoch_s: float = 1.0) -> list[Member]:
    """Members with these scores, each of twice the cost of the one before."""
    return [
        Member(f"run{place}", 100 * 2**place, score, epoch_s)
        for place, score in enumerate(scores)
    ]


FRONT = make_front([0.82, 0.85, 0.88, 0.9, 0.95, 0.97, 0.98, 0.99])
fronts = st.lists(st.floats(0.3, 0.999), min_size=1, max_size=40, unique=True).map(
    lambda scores: make_front(sorted(scores))
)


def test_with_time_enough_all_models_are_finished_thoroughly():
    plan = plan_finish(FRONT, 27, 5, Time(DAY_S, 2))

    assert plan.run_ids == tuple(member.run_id for member in FRONT)
    assert plan.representatives == ("run1", "run4", "run6")
    assert (plan.epochs, plan.seeds) == (81, 5)


@pytest.mark.parametrize(
    ("seconds", "epochs", "n_sizes", "seeds", "n_models"),
    [
        (5000, 81, 3, 5, 8),
        (3600, 81, 3, 5, 6),
        (3000, 81, 3, 3, 6),
        (2000, 54, 3, 3, 6),
        (1200, 27, 3, 5, 6),
        (800, 27, 1, 3, 8),
        (550, 27, 1, 3, 4),
        (400, 27, 0, 3, 6),
        (200, 27, 0, 2, 4),
        (0, 27, 0, 1, 1),
    ],
)
def test_where_time_is_short_less_is_done(seconds, epochs, n_sizes, seeds, n_models):
    plan = plan_finish(FRONT, 27, 5, Time(seconds, 2))

    assert (plan.epochs, len(plan.representatives)) == (epochs, n_sizes)
    assert (plan.seeds, len(plan.run_ids)) == (seeds, n_models)


@given(fronts, st.floats(0, 10**6), st.integers(1, 8), st.integers(1, 9))
def test_a_plan_fits_unless_it_is_the_least(front, seconds, n_workers, seeds):
    plan = plan_finish(front, 9, seeds, Time(seconds, n_workers))
    chosen = [member for member in front if member.run_id in plan.run_ids]

    is_least = len(plan.run_ids) == 1 and (plan.epochs, plan.seeds) == (9, 1)
    is_least = is_least and not plan.representatives
    assert is_least or guess_s(chosen, plan, n_workers) <= seconds
    assert 1 <= len(plan.run_ids) <= MOST_MEMBERS
    assert 1 <= plan.seeds <= seeds


@given(fronts, st.floats(0, 10**6))
def test_the_best_model_is_always_finished(front, seconds):
    plan = plan_finish(front, 9, 5, Time(seconds, 2))

    assert plan.run_ids[-1] == front[-1].run_id


@given(fronts)
def test_representatives_are_among_the_models_in_their_order(front):
    plan = plan_finish(front, 9, 5, Time(DAY_S * 365, 2))
    places = [plan.run_ids.index(run_id) for run_id in plan.representatives]

    assert places == sorted(set(places))


def test_models_of_no_use_are_left_out():
    front = make_front([0.1, 0.7, 0.75, 0.9])

    assert [member.score for member in keep_useful(front)] == [0.75, 0.9]


def test_what_may_be_luck_is_left_out():
    scores = [0.8, 0.805, 0.83, 0.835, 0.86]
    front = [
        replace(member, standard_error=0.02, folds=5) for member in make_front(scores)
    ]

    assert [member.score for member in keep_better(front)] == [0.8, 0.83, 0.86]
    single = [replace(member, folds=1) for member in front]
    assert keep_better(single) == single


def test_ways_are_tried_in_every_fold():
    plan = FinishPlan(("run0",), ("run0",), 9, 5)
    [once] = make_front([0.9])
    folded = replace(once, folds=5)

    assert guess_s([folded], plan, 1) > 3 * guess_s([once], plan, 1)


def test_the_models_that_add_least_go_first():
    front = make_front([0.5, 0.501, 0.9, 0.901, 0.99])

    assert [member.score for member in thin(front, 3, "params")] == [0.5, 0.9, 0.99]


def test_a_size_is_spoken_for_by_its_middle():
    assert choose_representatives(FRONT[:6], 3) == ["run1", "run3", "run5"]
    assert choose_representatives(FRONT[:2], 3) == ["run0", "run1"]
    assert choose_representatives(FRONT, 0) == []


def test_the_nearest_size_is_that_of_the_least_ratio():
    others = [FRONT[0], FRONT[3]]

    assert find_nearest(Member("x", 300.0, 0.9, 1.0), others) is FRONT[3]
    assert find_nearest(Member("x", 250.0, 0.9, 1.0), others) is FRONT[0]


def test_a_plan_is_read_from_plain_data():
    plan = FinishPlan(("a", "b"), ("a",), 81, 5)
    plain = {"run_ids": ["a", "b"], "representatives": ["a"], "epochs": 81, "seeds": 5}

    assert FinishPlan.read(plain) == plan


def test_one_seed_is_no_reason_for_the_longest_plan():
    plan = plan_finish(FRONT[:1], 27, 1, Time(60, 2))

    assert (plan.epochs, plan.representatives) == (27, ())
