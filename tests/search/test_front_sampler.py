import numpy as np
import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import (
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import create_trial

from contracts.sampler import CONDITIONAL, SPACE, asked, conditional_count, count
from paretune.errors import ConfigError
from paretune.front import front, hypervolume
from paretune.search.ehvi import expected_improvement
from paretune.search.feasible_sampler import FeasibleSampler
from paretune.search.feasible_space import FeasibleSpace
from paretune.search.front_sampler import FrontSampler
from paretune.search.observations import Record
from paretune.search.space import Space
from paretune.search.space_parser import parse_space
from paretune.search.storage import suggest
from paretune.search.surrogate import Surrogate, make_features, select_training_points

REFERENCE = (10.0, 5.0)


@given(
    st.lists(st.tuples(st.floats(0, 12), st.floats(0, 6)), max_size=6),
    st.floats(0, 11),
    st.floats(0, 6),
    st.floats(0.05, 2),
)
@settings(max_examples=40, deadline=None)
def test_the_closed_form_is_the_mean_of_many_draws(known, cost, mean, deviation):
    known = np.array(known).reshape(-1, 2)
    (closed,) = expected_improvement(
        np.array([cost]), np.array([mean]), np.array([deviation]), known, REFERENCE
    )
    losses = mean + deviation * np.random.default_rng(0).standard_normal(500)
    before = hypervolume(known, REFERENCE)
    gains = [
        hypervolume(np.vstack([known, (cost, loss)]), REFERENCE) - before
        for loss in losses
    ]

    # five standard errors, and room for an improvement too rare to be among the draws
    assert closed == pytest.approx(
        np.mean(gains), abs=5 * np.std(gains) / np.sqrt(len(gains)) + 0.02
    )


def test_a_certain_improvement_is_the_area_it_adds():
    known = np.array([[2.0, 3.0], [6.0, 1.0]])
    (gain,) = expected_improvement(
        np.array([4.0]), np.array([2.0]), np.array([1e-9]), known, REFERENCE
    )

    assert gain == pytest.approx((6 - 4) * (3 - 2))


def test_beyond_the_reference_there_is_nothing_to_gain():
    gains = expected_improvement(
        np.array([10.0, 11.0]), np.zeros(2), np.ones(2), np.empty((0, 2)), REFERENCE
    )

    assert gains.tolist() == [0.0, 0.0]


def test_features_are_positions_in_ranges_and_columns_of_choices():
    branch = {
        "w": IntDistribution(2, 32, log=True),
        "lr": FloatDistribution(0, 2),
        "k": CategoricalDistribution([3, 5]),
        "one": IntDistribution(4, 4),
    }

    assert make_features(
        {"w": 8, "lr": 0.5, "k": 5, "one": 4}, branch
    ) == pytest.approx([0.5, 0.25, 0.0, 1.0, 0.0])


def test_a_surrogate_learns_a_smooth_loss_and_knows_where_it_knows():
    rng = np.random.default_rng(0)
    rows = rng.random((60, 2))
    surrogate = Surrogate(rows, np.sin(3 * rows[:, 0]) + rows[:, 1])
    inside = rng.random((50, 2)) * 0.8 + 0.1
    mean, near = surrogate.predict(inside)
    _, far = surrogate.predict(inside + 3)

    assert np.abs(mean - np.sin(3 * inside[:, 0]) - inside[:, 1]).max() < 0.15
    assert near.max() < far.min()


def test_what_is_believed_is_no_longer_uncertain():
    rows = np.random.default_rng(0).random((20, 2))
    surrogate = Surrogate(
        rows, rows.sum(axis=1) + np.random.default_rng(1).normal(0, 0.3, 20)
    )
    place = np.array([[2.0, 2.0]])
    before = surrogate.predict(place)[1]
    surrogate.add_fantasies(place)

    assert surrogate.predict(place)[1] < before


def smooth_score(params: dict[str, object]) -> float:
    """Larger is better, with returns that fall; the third layer counts twice; one
    learning rate is best.
    """
    widths = np.log([params[f"w{i}"] for i in range(5)])
    return 1 - np.exp(
        -0.35 * (widths.sum() + widths[2])
        + 1.2 * (params["lr"] - 0.3) ** 2
        - 0.5 * (params["k"] == 3)
    )


def grown(sampler, n: int) -> float:
    draws = asked(sampler, n, score=smooth_score)
    points = [
        (np.log(count(params)), np.log(max(1 - smooth_score(params), 1e-4)))
        for params in draws
    ]
    return hypervolume(points, (np.log(5000), 0.0))


def test_it_finds_more_in_forty_trials_than_chance_in_a_hundred():
    feasible = FeasibleSpace(SPACE, count, 5000)
    chance = FeasibleSampler(
        lambda seed: optuna.samplers.RandomSampler(seed=seed), feasible, n_startup=100
    )

    assert grown(FrontSampler(feasible), 40) > grown(chance, 100)


def test_fewer_proposals_are_below_the_least_size_that_counts():
    free, floored = (
        FrontSampler(FeasibleSpace(SPACE, count, 5000, floor=floor))
        for floor in (None, 500)
    )
    below = [
        sum(count(params) < 500 for params in asked(s, 30, score=smooth_score)[20:])
        for s in (free, floored)
    ]

    assert below[1] < below[0]


def test_an_exponent_of_one_has_more_proposals_in_the_upper_half_of_the_sizes():
    feasible = FeasibleSpace(SPACE, count, 5000)
    samplers = [FrontSampler(feasible, exponent=exponent) for exponent in (0.0, 1.0)]
    large = [
        sum(count(params) > 2500 for params in asked(s, 40, score=smooth_score)[20:])
        for s in samplers
    ]

    assert large[0] < large[1]


def test_an_exponent_that_is_none_is_refused_in_a_sentence():
    with pytest.raises(
        ConfigError,
        match=r"sampler.exponent `2` is invalid; expected a number from 0 to 1",
    ):
        FrontSampler(FeasibleSpace(SPACE, count, 5000), exponent=2)


def test_it_works_in_a_plain_study():
    feasible = FeasibleSpace(
        Space(common={"w": IntDistribution(2, 64), "lr": FloatDistribution(0, 1)}),
        count=lambda params: params["w"] ** 2,
        cap=900,
    )
    study = optuna.create_study(
        directions=["minimize", "maximize"], sampler=FrontSampler(feasible, n_startup=4)
    )
    study.optimize(
        lambda t: (t.suggest_int("w", 2, 64) ** 2, 1 - t.suggest_float("lr", 0, 1) / 2),
        n_trials=12,
    )

    assert max(trial.values[0] for trial in study.trials) <= 900


def test_a_study_of_one_objective_or_without_a_count_is_refused_in_a_sentence():
    space = Space(common={"w": IntDistribution(2, 64)})
    for feasible, directions in (
        (FeasibleSpace(space, lambda params: params["w"], 60), ["maximize"]),
        (FeasibleSpace(space), ["minimize", "maximize"]),
    ):
        study = optuna.create_study(
            directions=directions, sampler=FrontSampler(feasible)
        )
        with pytest.raises(
            ConfigError,
            match=(
                r"sampler `front` weighs a counted cost against a score, and this "
                r"study has directions"
            ),
        ):
            study.ask().suggest_int("w", 2, 64)


def test_trials_teach_also_where_the_task_does_not_ask_for_everything():
    space = Space(
        common={"w": IntDistribution(2, 64), "unasked": IntDistribution(1, 4)}
    )
    feasible = FeasibleSpace(space, lambda params: params["w"], 60)
    study = optuna.create_study(
        directions=["minimize", "maximize"], sampler=FrontSampler(feasible, n_startup=6)
    )
    study.optimize(lambda trial: (trial.suggest_int("w", 2, 64), 0.9), n_trials=8)
    (observation,) = Record.of(study.trials[7], 1).observations

    assert {"w", "unasked"} == set(observation.params)
    assert [set(trial.params) for trial in study.trials] == [{"w"}] * 8


def test_where_every_model_costs_the_same_it_seeks_the_best_score():
    feasible = FeasibleSpace(
        Space(common={"lr": FloatDistribution(0, 1)}), count=lambda params: 900
    )
    study = optuna.create_study(
        directions=["minimize", "maximize"], sampler=FrontSampler(feasible, n_startup=8)
    )
    study.optimize(
        lambda trial: (900, 1 - (trial.suggest_float("lr", 0, 1) - 0.7) ** 2),
        n_trials=20,
    )

    assert (
        np.median([abs(trial.params["lr"] - 0.7) for trial in study.trials[10:]]) < 0.05
    )


def test_models_of_the_dearest_choice_are_proposed_too():
    space = Space(
        common={"w": IntDistribution(2, 30), "k": CategoricalDistribution([1, 5])}
    )
    feasible = FeasibleSpace(
        space, count=lambda params: params["w"] * params["k"] ** 2, cap=10_000
    )
    study = optuna.create_study(
        directions=["minimize", "maximize"],
        sampler=FrontSampler(feasible, n_startup=10),
    )
    for _ in range(16):
        trial = study.ask(space.all_distributions())
        study.tell(
            trial,
            [
                feasible.cost(trial.params),
                1 - 1 / (1 + trial.params["w"] * trial.params["k"]),
            ],
        )

    assert feasible.upper == 750
    assert max(trial.values[0] for trial in study.trials[10:]) > 500


def test_running_trials_are_not_asked_for_again():
    feasible = FeasibleSpace(SPACE, count, 5000)
    study = optuna.create_study(
        directions=["minimize", "maximize"], sampler=FrontSampler(feasible, n_startup=8)
    )
    for _ in range(10):
        trial = study.ask(SPACE.all_distributions())
        study.tell(trial, [count(trial.params), smooth_score(trial.params)])
    in_flight = [
        frozenset(study.ask(SPACE.all_distributions()).params.items()) for _ in range(4)
    ]

    assert len(set(in_flight)) == 4


WIDE = Space(common={f"w{i}": IntDistribution(2, 20) for i in range(14)})


@pytest.mark.parametrize(
    ("space", "count_cost"),
    [(SPACE, count), (WIDE, lambda params: sum(params.values()))],
    ids=["process", "forest"],
)
def test_what_a_sampler_remembers_of_earlier_asks_changes_no_proposal(
    space, count_cost
):
    """Another process, or one that was started again, proposes the same."""
    feasible = FeasibleSpace(space, count_cost, 200)
    distributions = space.all_distributions()
    warm = create_study(FrontSampler(feasible, n_startup=8))
    for number in range(45):
        before = warm.get_trials()
        trial = warm.ask(distributions)
        if number % 9 == 8:
            fresh = create_study(FrontSampler(feasible, n_startup=8))
            fresh.add_trials(before)
            assert fresh.ask(distributions).params == trial.params
        cost = count_cost(trial.params)
        warm.tell(trial, [cost, 1 - 1 / (2 + cost)])


def create_study(sampler: FrontSampler) -> optuna.Study:
    return optuna.create_study(directions=["minimize", "maximize"], sampler=sampler)


def test_a_branch_whose_trials_all_fail_or_race_out_gets_no_more_than_its_share():
    """Branch b always fails: after its first trials the sampler looks elsewhere."""
    sampler = FrontSampler(
        FeasibleSpace(CONDITIONAL, conditional_count, 300), n_startup=10
    )
    study = optuna.create_study(directions=["minimize", "maximize"], sampler=sampler)
    asked_for = []
    for _ in range(30):
        trial = study.ask()
        suggest(trial, "model", CONDITIONAL.choices["model"])
        for name, dist in CONDITIONAL.distributions(trial.params["model"]).items():
            suggest(trial, name, dist)
        asked_for.append(trial.params["model"])
        if trial.params["model"] == "b":
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
        else:
            study.tell(
                trial,
                [conditional_count(trial.params), 1 - 1 / (2 + trial.params["a/w"])],
            )

    assert asked_for[10:].count("b") == 0


def test_of_many_points_the_front_and_a_spread_of_the_others_are_learnt():
    rng = np.random.default_rng(0)
    log_costs, losses = rng.uniform(3, 9, 4000), rng.uniform(-5, 0, 4000)
    chosen = select_training_points(log_costs, losses)
    costs = np.column_stack([log_costs, losses])

    assert set(front(costs)) <= set(chosen)
    assert 500 <= len(chosen) <= 1000
    assert losses[chosen].max() > -0.1
    assert list(select_training_points(log_costs[:1000], losses[:1000])) == list(
        range(1000)
    )


def test_what_an_earlier_version_could_build_and_this_one_cannot_teaches_nothing():
    """It has no cost any more, which no surrogate could learn from."""
    space = parse_space(
        [f"w{i}=int(interval(2,20))" for i in range(14)],
        is_group=lambda _: False,
        own_space=lambda _: {},
    )

    def count_all(params):
        if params["w0"] == 13:
            raise ConfigError("model leaves no pixel")
        return sum(params.values())

    feasible = FeasibleSpace(space, count_all, 200)
    study = optuna.create_study(
        directions=["minimize", "maximize"], sampler=FrontSampler(feasible, n_startup=0)
    )
    distributions = space.all_distributions()
    for width in (5, 6, 7, 8, 9, 13):
        params = dict.fromkeys(distributions, 4) | {"w0": width}
        study.add_trial(
            create_trial(
                params=params,
                distributions=distributions,
                values=[60, 0.5 + width / 99],
            )
        )

    asked = study.ask(distributions)

    assert count_all(asked.params) <= 200
