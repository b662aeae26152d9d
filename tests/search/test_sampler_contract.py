"""Optuna's own contract of a sampler (``optuna.testing.pytest_samplers``), where it
applies to samplers that are given their space.
"""

import optuna
import pytest
from optuna.distributions import (
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import RandomSampler, TPESampler
from optuna.testing.pytest_samplers import (
    BasicSamplerTestCase,
    MultiObjectiveSamplerTestCase,
    RelativeSamplerTestCase,
)

from paretune.search.feasible_sampler import FeasibleSampler
from paretune.search.feasible_space import FeasibleSpace
from paretune.search.front_sampler import FrontSampler
from paretune.search.space import Space

pytestmark = pytest.mark.slow

WIDE, WHOLE, UNIT, NEGATIVE = (
    FloatDistribution(0, 10),
    IntDistribution(0, 10),
    FloatDistribution(-1, 1),
    (-1, -10, -100),
)
USUAL = {"x": WIDE, "y": WHOLE, "z": UNIT}  # tasks ask for other ranges, or not for z
SPACES = {
    "test_conditional_parameter_objective": {
        "x": CategoricalDistribution([True, False]),
        "y": WIDE,
        "z": WIDE,
    },
    "test_conditional_sample_independent": {},
    "test_sample_single_distribution": {},
    "test_sample_relative_categorical": {
        "x": CategoricalDistribution([1, 10, 100]),
        "y": CategoricalDistribution(NEGATIVE),
    },
    "test_sample_relative_mixed": {"y": CategoricalDistribution(NEGATIVE)},
    "test_trial_relative_params": {
        "x": FloatDistribution(-10, 10),
        "y": FloatDistribution(-10, 10),
    },
}


def count(params: dict[str, object]) -> int:
    return 1 + sum(abs(value) for value in params.values() if isinstance(value, int))


def asked_by(method) -> dict[str, optuna.distributions.BaseDistribution]:
    """What a function suggests of a trial."""
    trial = optuna.create_study(sampler=RandomSampler()).ask()
    method(trial)
    return trial.distributions


@pytest.fixture
def feasible(request) -> FeasibleSpace:
    """The space of what the test asks for; half of the larger ones is over the cap."""
    given = request.node.callspec.params if hasattr(request.node, "callspec") else {}
    methods = [
        value for name, value in given.items() if name.startswith("suggest_method_")
    ]
    named = {
        name[0]: value
        for name, value in given.items()
        if name in ("x_distribution", "y_distribution")
    }
    usual = {} if methods or len(named) > 1 else USUAL
    space = SPACES.get(request.node.originalname, usual) | named
    for method in methods:
        space |= asked_by(method)
    return FeasibleSpace(Space(common=space), count, 150)


@pytest.fixture
def two_objectives(monkeypatch):
    """Studies of this test, which know a single value, have it beside a cost."""
    original = optuna.create_study

    def create_study(**options):
        options.setdefault("directions", ["minimize", "maximize"])
        study = original(**options)
        tell, optimize = study.tell, study.optimize
        monkeypatch.setattr(
            study, "tell", lambda trial, value: tell(trial, [1.0, value])
        )
        monkeypatch.setattr(
            study,
            "optimize",
            lambda task, **rest: optimize(lambda trial: (1.0, task(trial)), **rest),
        )
        return study

    monkeypatch.setattr(optuna, "create_study", create_study)
    monkeypatch.setattr(optuna.study, "create_study", create_study)


class Contract(
    BasicSamplerTestCase, RelativeSamplerTestCase, MultiObjectiveSamplerTestCase
):
    """``SingleOnlySamplerTestCase`` does not apply: all of these take several
    objectives.
    """


class TestFeasibleRandom(Contract):
    @pytest.fixture
    def sampler(self, feasible):
        return lambda: FeasibleSampler(
            lambda seed: RandomSampler(seed=seed), feasible, n_startup=3
        )


class TestFeasibleTPE(Contract):
    @pytest.fixture
    def sampler(self, feasible):
        return lambda: FeasibleSampler(
            lambda seed: TPESampler(seed=seed, n_startup_trials=4),
            feasible,
            n_startup=3,
        )


@pytest.mark.usefixtures("two_objectives")
class TestFront(Contract):
    @pytest.fixture
    def sampler(self, feasible):
        return lambda: FrontSampler(feasible, n_startup=5)

    test_nan_objective_value = None  # asks for the best value of a single objective
    test_conditional_sample_independent = None  # adds trials of a single objective
