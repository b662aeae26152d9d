"""The default sampler: propose where the cost-vs-score front is expected to grow
most.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial

from paretune.errors import ConfigError, check_least
from paretune.search.capped_sampler import CappedSampler
from paretune.search.columns import Columns
from paretune.search.costs import Configuration
from paretune.search.feasible_space import FeasibleSpace
from paretune.search.front_model import FrontModel
from paretune.search.observations import History
from paretune.search.one_thread import on_one_thread

Floats = NDArray[np.float64]
# of the reference beyond the largest cost and error, so that models there are worth
# something too
COST_MARGIN = 0.02
LOSS_MARGIN = 0.1


class FrontSampler(CappedSampler):
    """Maximises the expected hypervolume improvement of (cost, log error), one
    objective of which is free.

    The study minimises a cost that ``feasible`` counts and maximises a score in [0, 1]
    such as F1. A candidate's cost is counted, not predicted, so that only its error
    needs a model, one over all branches of the space, and the improvement has the
    closed form of :mod:`paretune.search.ehvi`. Candidates are feasible draws over all
    costs and mutations of front members. Trials that are still running count at their
    predicted value; raced ones teach the surrogate what they had at the rungs they
    reached, but are on no front.

    ``exponent`` says which sizes matter: with 0 every decade of the cost as much as any
    other, with 1 every parameter as much as any other, so that most proposals are large
    (:class:`~paretune.search.cost_axis.CostAxis`).

    Works in any Optuna study::

        space = Space(common={"w": IntDistribution(2, 64)})
        feasible = FeasibleSpace(space, count=lambda params: params["w"] ** 2, cap=900)
        study = optuna.create_study(directions=["minimize", "maximize"], sampler=FrontSampler(feasible))
    """

    def __init__(
        self, feasible: FeasibleSpace, *, exponent: float = 0.0, **start: Any
    ) -> None:
        super().__init__(feasible, **start)
        check_least("sampler.exponent", exponent, 0, most=1, whole=False)
        self.exponent = exponent

    def check_objectives(self, directions: Sequence[str]) -> None:
        """Raise :class:`~paretune.errors.ConfigError` unless there are a cost that is
        counted and a score.
        """
        has_both = sorted(directions) == ["maximize", "minimize"]
        article = "a" if self.feasible.costs else "no"
        if not has_both or not self.feasible.costs:
            raise ConfigError(
                "sampler `front` weighs a counted cost against a score, and this "
                f"study has directions {list(directions)} and {article} count of the "
                "cost; expected [minimize, maximize] and a count (cap.count of the "
                "sweeper); use another sampler"
            )

    def propose(
        self, study: Study, trial: FrozenTrial, rng: np.random.Generator
    ) -> Configuration:
        """The candidate with the largest expected improvement."""
        with on_one_thread():
            return self._propose_best(study, trial, rng)

    def _propose_best(
        self, study: Study, trial: FrozenTrial, rng: np.random.Generator
    ) -> Configuration:
        model = self._make_model(study, trial)
        if not model.branches or model.surrogate is None:
            return self._draw_any(rng)  # too little is known, or all of it failed

        worst = float(model.known[:, 1].max(initial=0.0))
        reference = (1 + COST_MARGIN, worst + LOSS_MARGIN)
        candidates = model.make_candidates(rng)
        if not candidates:
            return self._draw_any(rng)
        gains = model.predict_gains(model.surrogate, candidates, reference)
        return candidates[int(gains.argmax())]

    def _make_model(self, study: Study, trial: FrozenTrial) -> FrontModel:
        score_at = study.directions.index(StudyDirection.MAXIMIZE)
        trials = study.get_trials(deepcopy=False)
        history = History.read(trials, score_at, trial.number)
        return FrontModel(self.feasible, self.exponent, self.columns, history)

    @cached_property
    def columns(self) -> Columns:
        """The numbers that a surrogate learns from."""
        return Columns(self.feasible.space)

    def _draw_any(self, rng: np.random.Generator) -> Configuration:
        share = float(rng.random())
        return self.feasible.draw_at_share(rng, share, None, self.exponent)
