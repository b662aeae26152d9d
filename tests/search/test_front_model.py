"""The candidates that a model of all measurements offers."""

import numpy as np
from optuna.distributions import IntDistribution

from paretune.search.columns import Columns
from paretune.search.feasible_space import FeasibleSpace
from paretune.search.front_model import FrontModel
from paretune.search.observations import History, Observation
from paretune.search.space import Space

SPACE = Space(common={f"w{i}": IntDistribution(2, 20) for i in range(14)})
FEASIBLE = FeasibleSpace(SPACE, lambda params: sum(params.values()), 280)
SMALLEST = dict.fromkeys(SPACE.common, 2)


def test_mutations_are_of_large_members_of_the_front_too_where_most_are_small():
    small = [
        Observation(SMALLEST | {"w0": width}, -width / 20, None)
        for width in range(2, 20)
    ]
    large = Observation(dict.fromkeys(SPACE.common, 17), -3.0, None)
    history = History(seen=[*small, large])
    model = FrontModel(FEASIBLE, 0.0, Columns(SPACE), history)
    candidates = model.make_candidates(np.random.default_rng(0), [])
    sizes = np.array([sum(params.values()) for params in candidates])

    assert (sizes > 140).mean() > 0.25
    assert (sizes < 100).mean() > 0.25


def make_model(deviation: float) -> FrontModel:
    """A model of a line of measurements, of which the last one was lucky."""
    seen: list[Observation] = []
    for width in range(2, 20):
        params = dict.fromkeys(SPACE.common, width)
        loss = -3.0 if width == 19 else -width / 20
        seen.append(Observation(params, loss, None, width, deviation))
    return FrontModel(FEASIBLE, 0.0, Columns(SPACE), History(seen=seen))


def test_a_lucky_score_is_believed_as_far_as_it_is_certain():
    certain, some, little = (make_model(deviation) for deviation in (0.0, 0.5, 5.0))
    losses = [model.known[-1, 1] for model in (certain, some, little)]

    assert losses[0] == -3.0
    assert losses[0] < losses[1] < losses[2] < -0.5


def test_certain_scores_are_believed_as_they_are():
    known = make_model(0.0).known

    assert known[:-1, 1].tolist() == [-width / 20 for width in range(2, 19)]
