"""Any Optuna sampler, under a hard cap: only configurations that fit are ever proposed."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from paretune.errors import ConfigError, check_least
from paretune.search.costs import Params
from paretune.search.distributions import Distributions, draw_uniform
from paretune.search.feasible_space import FeasibleSpace
from paretune.search.grid import Grid
from paretune.search.storage import ENQUEUED, NOTE, note, noted, stored

START_EXPONENT = 0.3  # `python -m bench search`: no less hypervolume than with 0, and better large models early
TRIES_NEAR = 4  # draws near the target of one of the first trials, before one of any size
TRIES = 12  # proposals before one that was tried already is accepted
DRAWS = 2  # of the wrapped sampler (each costs what its ask costs) before one is resized to fit
DRAWN = "drawn"  # the note of a trial with its whole configuration
MOST = 1_000_000  # configurations of a grid
COUNTED_AT_ONCE = 300  # configurations of a grid; counting one takes milliseconds
PLACE = "place"  # the note of a trial with its place in the order of the grid
TRIED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING, TrialState.FAIL)


class CappedSampler(BaseSampler):
    """A sampler that proposes whole configurations of a :class:`~paretune.search.feasible_space.FeasibleSpace`.

    The first ``n_startup`` trials are draw_uniform draws resized to targets spread evenly from the smallest configuration of their
    branch to the cap, no network twice as long as others turn up: by ``start_exponent`` over the logarithm of the cost (0), over the cost itself (1), or between the two. No configuration that was tried, or is being tried, is proposed again as long
    as others turn up. Every draw derives from (``seed``, trial number), so that a resumed or parallel sweep does not
    repeat its start.
    """

    def __init__(
        self, feasible: FeasibleSpace, *, n_startup: int = 20, start_exponent: float = START_EXPONENT, seed: int = 0
    ) -> None:
        check_least("sampler.start_exponent", start_exponent, 0, most=1, whole=False)
        self.feasible, self.n_startup, self.start_exponent, self.seed = feasible, n_startup, start_exponent, seed

    def propose(self, study: Study, trial: FrozenTrial, rng: np.random.Generator) -> Params:
        """A configuration that fits, once the start is over."""
        raise NotImplementedError

    def check_objectives(self, directions: Sequence[str]) -> None:
        """Raise :class:`~paretune.errors.ConfigError` if the sampler does not work for a study of these directions."""

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> Distributions:
        """All parameters of all branches; a trial gets values for those of one branch."""
        return self.feasible.space.all_distributions()

    def sample_relative(self, study: Study, trial: FrozenTrial, search_space: Distributions) -> Params:
        """What ``search_space`` has of one whole configuration that fits.

        For a further attempt at a trial it is the one that it had, of which it may know half. What was enqueued with the trial is
        part of it; raises :class:`~paretune.errors.CapError` if nothing that has that fits.
        """
        drawn = drawn_for(trial)
        if search_space and not drawn:
            self.check_objectives([direction.name.lower() for direction in study.directions])
            drawn = self._drawn(study, trial)
            # a database takes no numbers of numpy's, with which some samplers draw
            drawn = {name: value.item() if isinstance(value, np.generic) else value for name, value in drawn.items()}
            note(study, trial, DRAWN, drawn)
        return {name: value for name, value in drawn.items() if name in search_space}

    def _drawn(self, study: Study, trial: FrozenTrial) -> Params:
        rng, feasible = np.random.default_rng([self.seed, trial.number]), self.feasible
        enqueued = {
            n: v for n, v in trial.system_attrs.get(ENQUEUED, {}).items() if n in feasible.space.all_distributions()
        }
        others = [t for t in study.get_trials(deepcopy=False, states=TRIED) if t.number != trial.number]
        tried = {frozenset(configuration_of(other).items()) for other in others}
        again: Params = {}  # a network that was tried, with other settings of its training
        for attempt in range(TRIES):
            if trial.number < self.n_startup:
                params = self._start(trial.number, rng, attempt)
            else:
                params = self.propose(study, trial, rng)
            params = feasible.holding(params, enqueued, rng)
            if frozenset(params.items()) not in tried and feasible.verify_fits(params):
                if trial.number >= self.n_startup or self._is_new_network(params, others):
                    return params
                again = again or params
        if again:
            return again
        # All was tried already, as far as it seems; or a polynomial misled, and from here on everything is counted.
        last = (
            params,
            feasible.resized(params, feasible.cap),
            feasible.spread(rng, 0.5),
            feasible.smallest_of(feasible.branches[0]),
        )
        held = [feasible.holding(params, enqueued, rng) for params in last]
        params = next((params for params in held if feasible.verify_fits(params)), held[-1])
        feasible.check_fits(params, f"trial {trial.number}" + (f", enqueued with `{enqueued}`," if enqueued else ""))
        return params

    def _is_new_network(self, params: Params, others: Sequence[FrozenTrial]) -> bool:
        """Whether no other trial has the same network, whatever its training."""
        if self.feasible.costs is None:
            return True
        idle = self.feasible.costs.idle(params)
        network = {name: value for name, value in params.items() if name not in idle}
        return not any(network.items() <= configuration_of(other).items() for other in others)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Define-by-run parameters outside of the space are drawn uniformly."""
        return draw_uniform(param_distribution, np.random.default_rng([self.seed, trial.number, len(trial.params)]))

    def _start(self, number: int, rng: np.random.Generator, attempt: int) -> Params:
        """A draw near the target of trial ``number``; after some ``attempt`` of any size, as there are few networks near it."""
        branches = self.feasible.branches
        turn, choice = divmod(number, len(branches))
        jitter = rng.uniform(-0.5, 0.5) * len(branches) / max(self.n_startup, 1)
        share = min(max(van_der_corput(turn + 1) + jitter, 0.0), 1.0)
        share = share if attempt < TRIES_NEAR else float(rng.random())
        return self.feasible.spread(rng, share, branches[choice], self.start_exponent)


def drawn_for(trial: FrozenTrial) -> Params:
    """The whole configuration that was drawn for a trial; empty if none was yet."""
    return dict(trial.system_attrs.get(f"{NOTE}{DRAWN}", {}))


def configuration_of(trial: FrozenTrial) -> Params:
    """What a trial ran with, and what was drawn for it besides, which its task did not ask for."""
    return drawn_for(trial) | trial.params


class FeasibleSampler(CappedSampler):
    """Draws with the sampler that ``make_base(seed)`` builds and keeps what fits; what misses is resized.

    With one objective it is shrunk onto the cap, with several to a random size below it.
    """

    def __init__(
        self, make_base: Callable[[int], BaseSampler], feasible: FeasibleSpace, *, n_startup: int = 20, seed: int = 0
    ) -> None:
        super().__init__(feasible, n_startup=n_startup, seed=seed)
        self.make_base = make_base

    def propose(self, study: Study, trial: FrozenTrial, rng: np.random.Generator) -> Params:
        """A draw of the wrapped sampler that fits."""
        base = self.make_base(int(rng.integers(2**31)))
        trial = stored(study, trial)  # with what before_trial noted on it
        for _ in range(DRAWS):
            params = self._draw(base, study, trial)
            if self.feasible.fits(params):
                return params
        # of one objective the best one is likely large; a front has members of every size
        share = 1.0 if len(study.directions) == 1 else float(rng.random())
        smaller = self.feasible.resized(params, self.feasible.at_share(share))
        return smaller if self.feasible.fits(smaller) else self.feasible.spread(rng, share)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Define-by-run parameters outside of the space are left to the wrapped sampler."""
        seed = int(np.random.default_rng([self.seed, trial.number, len(trial.params)]).integers(2**31))
        return self.make_base(seed).sample_independent(study, trial, param_name, param_distribution)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Pass on to the wrapped sampler (the grid sampler takes its next point here)."""
        self.make_base(self.seed).before_trial(study, trial)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """Pass on to the wrapped sampler."""
        with suppress(RuntimeError):  # a finished grid asks study.optimize to stop, which is not what runs here
            self.make_base(self.seed).after_trial(study, trial, state, values)

    def _draw(self, sampler: BaseSampler, study: Study, trial: FrozenTrial) -> Params:
        """The sampler's joint draw where it makes one, parameter by parameter where it does not."""
        space = self.feasible.space
        params = {name: sampler.sample_independent(study, trial, name, dist) for name, dist in space.choices.items()}
        branch = space.distributions(space.branch_of(params))
        joint = sampler.infer_relative_search_space(study, trial)
        drawn = sampler.sample_relative(study, trial, {n: d for n, d in joint.items() if branch.get(n) == d})
        for name, dist in branch.items():
            if space.is_active(name, params):
                params[name] = drawn[name] if name in drawn else sampler.sample_independent(study, trial, name, dist)
        return params


def van_der_corput(number: int) -> float:
    """The ``number``-th (from 1) of a sequence in (0, 1) whose every beginning is spread evenly: 1/2, 1/4, 3/4, 1/8, ...

    van der Corput 1935; the one-dimensional Halton sequence in base 2.
    """
    share, digit = 0.0, 0.5
    while number:
        number, bit = divmod(number, 2)
        share += digit * bit
        digit /= 2
    return share


class GridSampler(CappedSampler):
    """Trial number n runs the n-th configuration of the grid that fits, in an order drawn from ``seed`` or, without ``shuffle``,
    that of the values as they are given, the last parameter's changing first.

    Configurations are counted as their turn comes. Each trial keeps the place of its own in the order, so that another process
    goes on from there. Raises :class:`~paretune.errors.ConfigError` for a parameter with endlessly many values, or more
    configurations than can be tried.
    """

    def __init__(self, feasible: FeasibleSpace, *, shuffle: bool = True, seed: int = 0) -> None:
        super().__init__(feasible, n_startup=0, seed=seed)
        self.grid = Grid(feasible.space, feasible.branches)
        size = len(self.grid)
        if size > MOST:
            raise ConfigError(
                f"sampler `grid` would try {size:,} configurations, the cap aside; expected at most {MOST:,}; search less, or "
                f"use another sampler"
            )
        self._order: Sequence[int] | NDArray[np.int64] = range(size)
        if shuffle:
            self._order = np.random.default_rng(seed).permutation(size)
        self._places: dict[int, int] = {}  # in the order, by the numbers of trials
        self._total: int | None = None  # of the configurations that fit, once it is known

    @property
    def most_trials(self) -> int:
        """How many configurations fit, if the grid is so small that all are counted at once; else how many may fit."""
        size = len(self.grid)
        if size > COUNTED_AT_ONCE:
            return size
        return sum(1 for _ in self._fitting(0))

    @property
    def points(self) -> list[Params]:
        """The configurations that fit, by the numbers of their trials."""
        return [params for _, params in self._fitting(0)]

    def has_trial(self, study: Study, number: int) -> bool:
        """Whether there is a configuration for the trial of this number."""
        return self._place_of(study, number) is not None

    def sample_relative(self, study: Study, trial: FrozenTrial, search_space: Distributions) -> Params:
        """What ``search_space`` has of the configuration of the trial's number; nothing if no further one fits."""
        place = noted(trial, PLACE)
        if place is None:
            place = self._place_of(study, trial.number)
            if place is None:
                return {}
            note(study, trial, PLACE, place)
        params = self._at(place) or {}
        return {name: value for name, value in params.items() if name in search_space}

    def _place_of(self, study: Study, number: int) -> int | None:
        if number not in self._places and (self._total is None or number < self._total):
            if number - 1 not in self._places:
                self._learn_from(study)
            self._walk_to(number)
        return self._places.get(number)

    def _learn_from(self, study: Study) -> None:
        for trial in study.get_trials(deepcopy=False):
            place = noted(trial, PLACE)
            if place is not None:
                self._places[trial.number] = place

    def _walk_to(self, number: int) -> None:
        """Find the places of the trials up to ``number``, from the nearest one before it that is known."""
        known = max((other for other in self._places if other < number), default=None)
        following, start = (0, 0) if known is None else (known + 1, self._places[known] + 1)
        for place, _ in self._fitting(start):
            self._places[following] = place
            if following == number:
                return
            following += 1
        self._total = following

    def _fitting(self, start: int) -> Iterator[tuple[int, Params]]:
        """The places from ``start`` on whose configurations fit, and these."""
        for place in range(start, len(self.grid)):
            params = self._at(place)
            if params is not None and self.feasible.fits(params) and self.feasible.verify_fits(params):
                yield place, params

    def _at(self, place: int) -> Params | None:
        return self.grid.at(int(self._order[place]))
