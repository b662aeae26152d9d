"""Replays of policies: the simulator's time, the model of curves, and a real replay on a
few recorded trainings.
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from studies.curves import EPOCHS
from studies.curves.features import Configured
from studies.curves.honesty import describe, measure_honesty
from studies.curves.model import Curve, CurveModel, predict_unseen
from studies.curves.question import Question
from studies.curves.rows import Epoch, Row, RowFile
from studies.curves.smoothing import find_noise, smooth, to_f1, to_logits
from studies.replay.comparison import (
    Plan,
    ResultFile,
    list_volumes,
    replay_policy,
    write_table,
)
from studies.replay.policies import POLICIES
from studies.replay.policy import Outcome, Step
from studies.replay.simulator import Limits, Replay, Simulator

# What is made once for all is made by one worker.
pytestmark = pytest.mark.xdist_group("replay")

NEW = 100  # made-up configurations
WHOLE = 5  # epochs of a training in a made-up world


class MadeUpWorld:
    """Trainings of any length and outcome."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def train(self, params: Mapping[str, Any], seed: int) -> Curve:
        rng = np.random.default_rng([self.seed, seed, params["w"]])
        true = np.sort(rng.random(WHOLE))
        return Curve(true, true, rng.exponential(2.0, WHOLE), float(rng.random()))

    def cost(self, params: Mapping[str, Any]) -> float:
        return float(params["w"])


class WilfulPolicy:
    """Begins trials, goes on with any that waits, or has workers wait, at random."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.paused: dict[int, Outcome] = {}
        self.begun = 0
        self.in_hand: dict[int, Step] = {}
        self.told_s: list[float] = []

    def ask(self, worker: int, now_s: float) -> Step | None:
        assert worker not in self.in_hand
        self.told_s.append(now_s)
        if self.in_hand and self.rng.random() < 0.2:
            return None
        if self.paused and self.rng.random() < 0.5:
            trial = int(self.rng.choice(list(self.paused)))
            outcome = self.paused.pop(trial)
            until = int(self.rng.integers(outcome.epoch + 1, WHOLE + 1))
            old = outcome.step
            step = Step(trial, old.params, old.seed, until)
        else:
            params = {"w": int(self.rng.integers(1, 100))}
            until = int(self.rng.integers(1, WHOLE + 1))
            step = Step(self.begun, params, int(self.rng.integers(3)), until)
            self.begun += 1
        self.in_hand[worker] = step
        return step

    def tell(self, worker: int, outcome: Outcome) -> None:
        assert self.in_hand.pop(worker) == outcome.step
        assert outcome.epoch == outcome.step.until
        self.told_s.append(outcome.now_s)
        if outcome.epoch < WHOLE:
            self.paused[outcome.step.trial] = outcome


replays = st.tuples(
    st.integers(0, 2**20), st.integers(1, 4), st.floats(0, 60), st.floats(0, 2)
)


def replay_wilfully(
    arguments: tuple[int, int, float, float],
) -> tuple[WilfulPolicy, Replay]:
    seed, workers, ends_s, ask_s = arguments
    policy = WilfulPolicy(seed)
    limits = Limits(workers, ends_s, WHOLE, start_up_s=0.1, ask_s=ask_s)
    return policy, Simulator(policy, MadeUpWorld(seed), limits).run()


@given(replays)
def test_time_never_runs_backwards(arguments):
    policy, replay = replay_wilfully(arguments)

    assert policy.told_s == sorted(policy.told_s)
    ends = [interval.ends_s for interval in replay.intervals]
    assert ends == sorted(ends)
    assert all(end <= arguments[2] for end in ends)
    for interval in replay.intervals:
        assert interval.begins_s < interval.ends_s


@given(replays)
def test_a_worker_does_one_thing_at_a_time(arguments):
    _, replay = replay_wilfully(arguments)
    for worker in range(arguments[1]):
        own = [one for one in replay.intervals if one.worker == worker]
        for before, after in pairwise(own):
            assert before.ends_s <= after.begins_s


@given(replays)
def test_a_trial_is_trained_epoch_after_epoch_by_one_worker_at_a_time(arguments):
    _, replay = replay_wilfully(arguments)
    for trial in {interval.trial for interval in replay.intervals}:
        own = [one for one in replay.intervals if one.trial == trial]
        assert own[0].first == 0
        for before, after in pairwise(own):
            assert before.ends_s <= after.begins_s
            assert before.last == after.first
    whole = {one.trial for one in replay.intervals if one.last == WHOLE}
    assert {end.trial for end in replay.ended} == whole


@given(replays)
def test_the_volume_never_falls(arguments):
    _, replay = replay_wilfully(arguments)
    volumes = list_volumes(replay, np.linspace(0, arguments[2], 20), cap=100)
    assert (np.diff(volumes) >= 0).all()


@given(replays)
def test_the_same_replay_is_the_same(arguments):
    assert replay_wilfully(arguments)[1] == replay_wilfully(arguments)[1]


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ([Step(0, {"w": 1}, 0, 6)], "it cannot be trained until 6"),
        ([Step(0, {"w": 1}, 0, 2), Step(0, {"w": 1}, 0, 3)], "another worker's hands"),
        ([Step(0, {"w": 1}, 0, 2)] * 2, "another worker's hands"),
    ],
)
def test_a_step_that_cannot_be_done_is_refused(steps, said):
    class Fixed(WilfulPolicy):
        def ask(self, worker: int, now_s: float) -> Step | None:
            return steps.pop(0) if steps else None

    limits = Limits(2, 100.0, WHOLE, ask_s=0.0)
    with pytest.raises(ValueError, match=said):
        Simulator(Fixed(0), MadeUpWorld(0), limits).run()


def test_a_start_up_is_paid_whenever_a_worker_turns_to_a_trial():
    steps = [
        Step(0, {"w": 1}, 0, 1),
        Step(0, {"w": 1}, 0, 2),
        Step(1, {"w": 2}, 0, 1),
        Step(0, {"w": 1}, 0, WHOLE),
    ]
    left = list(steps)

    class Fixed(WilfulPolicy):
        def ask(self, worker: int, now_s: float) -> Step | None:
            return left.pop(0) if left else None

        def tell(self, worker: int, outcome: Outcome) -> None:
            pass

    world = MadeUpWorld(1)
    limits = Limits(1, 1e6, WHOLE, start_up_s=1000.0, ask_s=10.0)
    replay = Simulator(Fixed(0), world, limits).run()

    first, second = world.train({"w": 1}, 0), world.train({"w": 2}, 0)
    trained_s = first.seconds.sum() + first.begin_s
    trained_s += second.seconds[0] + second.begin_s
    # Thought is an ask, and a tell before all but the first.
    thought_s = 10.0 * (len(steps) * 2 - 1)
    assert replay.intervals[-1].ends_s == pytest.approx(trained_s + 3000.0 + thought_s)


@given(st.floats(0.01, 0.99))
def test_scores_are_the_same_after_logits(f1):
    assert to_f1(to_logits([f1])) == pytest.approx([f1])


@given(st.floats(-3, 3), st.floats(-1, 1))
def test_a_curve_without_noise_is_smooth_already(level, slope):
    curve = level + slope * np.log(np.arange(1, EPOCHS + 1))
    assert smooth(curve[None])[0] == pytest.approx(curve, abs=1e-6)


def test_the_noise_of_a_curve_has_its_size():
    rng = np.random.default_rng(0)
    noise = find_noise(rng.normal(0, 0.3, (4000, EPOCHS)))
    assert noise[:, -9:].std() == pytest.approx(0.3, rel=0.03)


@pytest.fixture(scope="module")
def question() -> Question:
    return Question("digits")


@pytest.fixture(scope="module")
def made_up_rows(question: Question) -> dict[int, Row]:
    """Rows whose curves fall with the parameters, with noise of known sizes; the last
    ones repeat the first.
    """
    shares = np.linspace(0, 1, NEW).tolist()
    drawn = question.feasible.draw_at_shares(np.random.default_rng(0), shares)
    rows: dict[int, Row] = {}
    for number, params in enumerate([*drawn, *drawn[::4]]):
        rng = np.random.default_rng(number)
        costs = question.measure(params)
        level = 2.0 - 0.6 * np.log(costs["params"] / 100) + rng.normal(0, 0.2)
        curve = level - 0.8 * np.log(np.arange(1, EPOCHS + 1))
        scores = to_f1(curve + rng.normal(0, 0.1, EPOCHS))
        rows[number] = Row(
            number=number,
            kind="draw",
            parent=None,
            seed=number,
            settings=question.write_settings(params),
            costs=costs,
            epochs=[Epoch(round(float(f1), 4), 0.05) for f1 in scores],
        )
    return rows


@pytest.mark.slow
def test_the_model_knows_what_decides(made_up_rows):
    honesty = measure_honesty(list(made_up_rows.values()))

    assert honesty.end.rho > 0.8
    assert honesty.end.rmse < 0.3
    assert honesty.early[3].rho > 0.7
    assert 0.6 < honesty.first_weights < 1.6
    assert 0.8 < honesty.single_epochs < 1.2
    assert "125 trainings" in describe(honesty)


def test_a_drawn_training_is_always_the_same(made_up_rows):
    row = made_up_rows[0]
    model = CurveModel(list(made_up_rows.values()))
    one = Configured(row.settings, row.costs)

    first, again = model.draw(one, 1), model.draw(one, 1)
    assert first.measured.tolist() == again.measured.tolist()
    assert first.measured.tolist() != model.draw(one, 2).measured.tolist()
    assert first.measured.tolist() != model.draw(one, 1, world=1).measured.tolist()
    assert ((first.true > 0) & (first.true < 1)).all()
    assert (first.seconds > 0).all()


@pytest.mark.slow
def test_alike_configurations_differ_more_in_a_rough_world(made_up_rows):
    rows = list(made_up_rows.values())
    found = [row for row in rows if row.settings["model"] == "separable"][:20]
    smooth_world = CurveModel(rows, roughness=0.0)
    rough_world = CurveModel(rows, roughness=1.0)

    def find_spread(model: CurveModel) -> float:
        drawn = [
            model.draw(Configured(row.settings, row.costs), 0, world=number)
            for row in found
            for number in range(8)
        ]
        logits = to_logits([curve.true for curve in drawn])[:, -1].reshape(-1, 8)
        return float(logits.std(axis=1).mean())

    assert find_spread(rough_world) > 1.05 * find_spread(smooth_world)
    # The same for every seed of a configuration, and in every question for it.
    one = Configured(found[0].settings, found[0].costs)
    first, again = rough_world.draw(one, 3), rough_world.draw(one, 3)
    assert first.true.tolist() == again.true.tolist()


def test_there_is_no_model_of_nothing():
    with pytest.raises(ValueError, match="no recorded training"):
        CurveModel([])


def test_one_configuration_says_nothing_of_others(made_up_rows):
    with pytest.raises(ValueError, match="one recorded configuration"):
        predict_unseen([made_up_rows[0]] * 3)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*POLICIES])
def test_the_products_sweeps_are_policies(name, made_up_rows, tmp_path):
    file = RowFile(tmp_path / "digits.csv")
    for row in made_up_rows.values():
        file.append(row)
    plan = Plan("digits", file.path, workers=2, hours=0.005, ask_s=0.05)

    result = replay_policy(name, plan, range(1), map)

    assert (np.diff(result.volumes, axis=1) >= 0).all()
    assert result.find_mean("begun") > result.find_mean("ended") > 0
    results = ResultFile(tmp_path / "results.json")
    results.add(result)
    assert results.read() == {name: result}
    assert f"| {name} |" in write_table([result])
