"""The default sampler: propose where the cost-vs-score front is expected to grow
most.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from math import inf
from typing import Any

import numpy as np
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial

from paretune.errors import ConfigError, check_least
from paretune.search.capped_sampler import CappedSampler
from paretune.search.columns import Columns
from paretune.search.costs import Configuration
from paretune.search.draw_pool import DrawPool
from paretune.search.feasible_space import FeasibleSpace
from paretune.search.front_model import FrontModel, Remembered
from paretune.search.next_step import SHORTLIST, StepValues
from paretune.search.observations import History, Record
from paretune.search.one_thread import on_one_thread
from paretune.search.per_trial import PerTrial
from paretune.search.racing import Race
from paretune.search.storage import read_trials_once

# Of what a new trial promises: it is the one of many that promises most, mostly because
# the model is wrong about it (`docs/journal/2026-11-30-quick-starts.md`).
KEPT_PROMISE = 0.3


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
        self._planned: _Plan | None = None
        # What asks share, none of which changes what is proposed. Records are by the
        # number of the value that is the score.
        self._records: dict[int, PerTrial[Record]] = {}
        self._remembered = Remembered()

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
        """The candidate with the largest expected improvement, or what
        :meth:`choose_paused` found worth beginning.
        """
        planned, self._planned = self._planned, None
        if planned and planned.number == trial.number:
            return planned.params
        with on_one_thread():
            return self._propose_best(study, trial, rng)

    def choose_paused(
        self,
        study: Study,
        race: Race,
        paused: Sequence[FrozenTrial],
        *,
        may_begin: bool,
    ) -> FrozenTrial | None:
        """The one of the ``paused`` trials that is expected to add most hypervolume a
        second; ``None`` if a new one is, and ``may_begin``.
        """
        self._planned = None
        if not paused:
            return None
        trials = study.get_trials(deepcopy=False)
        with on_one_thread():
            return self._choose_step(study, trials, race, paused, may_begin=may_begin)

    def _choose_step(
        self,
        study: Study,
        trials: Sequence[FrozenTrial],
        race: Race,
        paused: Sequence[FrozenTrial],
        *,
        may_begin: bool,
    ) -> FrozenTrial | None:
        score_at = study.directions.index(StudyDirection.MAXIMIZE)
        model = self._make_model(trials, score_at, len(trials))
        if model.surrogate is None or not model.branches:
            return None if may_begin else paused[0]
        records = self._find_records(score_at)
        curves = [records.of(trial).curve for trial in trials]
        values = StepValues(model, race, curves, self._guesses)
        # An earlier version may have built what this one refuses.
        paused = [one for one in paused if model.has(records.of(one).params)]
        if not paused:
            return None
        waiting = [records.of(trial).curve for trial in paused]
        value_waiting = values.value_waiting(waiting)
        best = paused[int(value_waiting.argmax())]
        if not may_begin:
            return best

        value_new, plan = self._plan_new(model, values, len(trials))
        if value_new <= value_waiting.max():
            return best
        self._planned = plan
        return None

    def _plan_new(
        self, model: FrontModel, values: StepValues, number: int
    ) -> tuple[float, "_Plan | None"]:
        """What a new trial of this number is worth, and what it is to be, if that is
        not known before.
        """
        if number < len(self.portfolio):
            [worth] = values.value_new([self.portfolio[number]]).tolist()
            return worth, None
        draws = self._pool.list_draws(number, model.branches)
        if number < self.n_startup:
            # It is drawn to cover the costs, whatever it may add.
            if not draws:
                return -inf, None
            worths = values.value_new(draws[:SHORTLIST])
            return float(worths.mean()), None
        rng = np.random.default_rng([self.seed, number, len(model.history.seen)])
        candidates = model.make_candidates(rng, draws)
        if not candidates:
            return -inf, None
        best, worth = values.choose_new(candidates)
        return KEPT_PROMISE * worth, _Plan(number, candidates[best])

    def _propose_best(
        self, study: Study, trial: FrozenTrial, rng: np.random.Generator
    ) -> Configuration:
        score_at = study.directions.index(StudyDirection.MAXIMIZE)
        model = self._make_model(read_trials_once(study), score_at, trial.number)
        if not model.branches or model.surrogate is None:
            # Too little is known, or all of it failed.
            return self._draw_any(rng, model.branches)

        draws = self._pool.list_draws(trial.number, model.branches)
        candidates = model.make_candidates(rng, draws)
        if not candidates:
            return self._draw_any(rng, model.branches)
        gains = model.predict_gains(model.surrogate, candidates, model.reference)
        return candidates[int(gains.argmax())]

    def _make_model(
        self, trials: Sequence[FrozenTrial], score_at: int, number: int
    ) -> FrontModel:
        records = self._find_records(score_at)
        history = History.read(trials, score_at, number, records)
        return FrontModel(
            self.feasible, self.exponent, self.columns, history, self._remembered
        )

    def _find_records(self, score_at: int) -> PerTrial[Record]:
        if score_at not in self._records:
            self._records[score_at] = PerTrial(partial(Record.of, score_at=score_at))
        return self._records[score_at]

    @cached_property
    def _pool(self) -> DrawPool:
        return DrawPool(self.feasible, self.exponent, self.seed)

    @cached_property
    def columns(self) -> Columns:
        """The numbers that a surrogate learns from."""
        return Columns(self.feasible.space)

    def _draw_any(
        self, rng: np.random.Generator, branches: Sequence[Configuration]
    ) -> Configuration:
        """A draw of any size, of one of ``branches`` if there are any."""
        share = float(rng.random())
        choice = None
        if branches:
            choice = branches[int(rng.integers(len(branches)))]
        return self.feasible.draw_at_share(rng, share, choice, self.exponent)


@dataclass(frozen=True)
class _Plan:
    """What the trial of this number is to be, if it is the next one."""

    number: int
    params: Configuration
