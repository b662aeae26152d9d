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
