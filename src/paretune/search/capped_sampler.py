"""A sampler under a hard cap: only whole configurations that fit are ever proposed."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from paretune.errors import check_least
from paretune.search.costs import Configuration
from paretune.search.distributions import Distributions, draw_uniform
from paretune.search.feasible_space import FeasibleSpace
from paretune.search.guessed_durations import GuessDuration, GuessedDurations
from paretune.search.per_trial import PerTrial
from paretune.search.start_targets import StartTarget, spread_targets
from paretune.search.storage import ENQUEUED, NOTE, note, read_trials_once

# `python -m studies search`: no less hypervolume than with 0, and better large models
# early.
START_EXPONENT = 0.3
# Draws near the target of one of the first trials, before one of any size.
TRIES_NEAR = 4
TRIES = 12  # proposals before one that was tried already is accepted
# Draws of one of the first trials before a network that was tried already is accepted:
# so many that it was the last but few.
START_TRIES = 100
# Draws near the target of one of the first trials, of which one is taken that takes at
# most so many times as long as the quickest: `docs/journal/2026-11-30-quick-starts.md`.
START_DRAWS = 8
QUICK = 2.0
# Of a first trial that would take longer than so many times the usual one, it goes to
# another branch, if that has a quicker draw among so many.
TOO_SLOW = 2.0
OTHER_DRAWS = 4
USUAL = 1  # tells the draws of what is usual from those of trials
DRAWN = "drawn"  # the note of a trial with its whole configuration


class CappedSampler(BaseSampler):
    """A sampler that proposes whole configurations of a
    :class:`~paretune.search.feasible_space.FeasibleSpace`.

    The first trials are those of the ``portfolio``, if it is set. The others of the
    first ``n_startup`` are uniform draws resized to targets spread evenly
    from the smallest configuration to the largest that fits, no network twice as long
    as others turn up: by ``start_exponent`` over the logarithm of the cost (0), over
    the cost itself (1), or between the two. If ``guess_duration`` is set, it is a quick
    one of several draws, and of another branch where it would take far longer than
    usual. No configuration that was tried, or is
    being tried, is proposed again as long as others turn up. Every draw derives from
    (``seed``, trial number), so that a resumed or parallel sweep does not repeat its
    start.
    """

    def __init__(
        self,
        feasible: FeasibleSpace,
        *,
        n_startup: int = 20,
        start_exponent: float = START_EXPONENT,
        seed: int = 0,
    ) -> None:
        check_least("sampler.start_exponent", start_exponent, 0, most=1, whole=False)
        self.feasible = feasible
        self.n_startup = n_startup
        self.start_exponent = start_exponent
        self.seed = seed
        self.portfolio: Sequence[Configuration] = ()
        self.guess_duration: GuessDuration | None = None
        self._tried = PerTrial(_Tried.of)

    def propose(
        self, study: Study, trial: FrozenTrial, rng: np.random.Generator
    ) -> Configuration:
        """A configuration that fits, once the start is over."""
        raise NotImplementedError

    def check_objectives(self, directions: Sequence[str]) -> None:
        """Raise :class:`~paretune.errors.ConfigError` if the sampler does not work for
        a study of these directions.
        """

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> Distributions:
        """All parameters of all branches; a trial gets values for those of one
        branch.
        """
        return self.feasible.space.all_distributions()

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: Distributions
    ) -> Configuration:
        """The part that ``search_space`` has of one whole configuration that fits.

        For a further attempt at a trial it is the one that it had, of which it may know
        half. What was enqueued with the trial is part of it; raises
        :class:`~paretune.errors.CapError` if nothing that has that fits.
        """
        drawn = drawn_for(trial)
        if search_space and not drawn:
            directions = [direction.name.lower() for direction in study.directions]
            self.check_objectives(directions)
            drawn = _to_plain_numbers(self._draw_configuration(study, trial))
            note(study, trial, DRAWN, drawn)
        return restrict(drawn, search_space)

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """A uniform draw of a define-by-run parameter outside of the space."""
        n_drawn = len(trial.params)
        rng = np.random.default_rng([self.seed, trial.number, n_drawn])
        return draw_uniform(param_distribution, rng)

    def _draw_configuration(self, study: Study, trial: FrozenTrial) -> Configuration:
        searched = self.feasible.space.all_distributions()
        enqueued = restrict(trial.system_attrs.get(ENQUEUED, {}), searched)
        others = _Others.read(study, trial, self._tried)
        rng = np.random.default_rng([self.seed, trial.number])
        is_start = len(self.portfolio) <= trial.number < self.n_startup

        # A network that was tried, with other settings of its training.
        known_network: Configuration = {}
        for proposed in self._propose_several(study, trial, rng):
            params = self.feasible.impose(enqueued, proposed, rng)
            if others.have(params) or not self.feasible.verify_fits(params):
                continue
            if not is_start or self._is_new_network(params, others):
                return params
            known_network = known_network or params

        if known_network:
            return known_network
        return self._draw_last(trial, enqueued, params, rng)

    def _propose_several(
        self, study: Study, trial: FrozenTrial, rng: np.random.Generator
    ) -> Iterator[Configuration]:
        if trial.number < len(self.portfolio):
            yield self.portfolio[trial.number]
        if trial.number < self.n_startup:
            for attempt in range(START_TRIES):
                yield self._draw_start(trial.number, rng, attempt)
        else:
            for _ in range(TRIES):
                yield self.propose(study, trial, rng)

    def _draw_last(
        self,
        trial: FrozenTrial,
        enqueued: Configuration,
        params: Configuration,
        rng: np.random.Generator,
    ) -> Configuration:
        """A configuration that fits, where all was tried already, as far as it seems,
        or nothing proposed fits.

        In the latter case a polynomial misled, and from here on everything is counted.
        """
        feasible = self.feasible
        onto_cap = feasible.resize(params, feasible.cap)
        half = feasible.draw_at_share(rng, 0.5)
        smallest = feasible.smallest_of(feasible.branches[0])
        imposed = [
            feasible.impose(enqueued, last, rng)
            for last in (params, onto_cap, half, smallest)
        ]
        for last in imposed:
            if feasible.verify_fits(last):
                return last

        source = f"trial {trial.number}"
        if enqueued:
            source += f", enqueued with `{enqueued}`,"
        feasible.check_fits(imposed[-1], source)
        return imposed[-1]

    def _is_new_network(self, params: Configuration, others: "_Others") -> bool:
        """Whether no other trial has the same network, whatever its training."""
        if self.feasible.costs is None:
            return True
        idle = self.feasible.costs.find_idle(params)
        network = restrict(params, params.keys() - idle)
        return not others.have_part(network)

    def _draw_start(
        self, number: int, rng: np.random.Generator, attempt: int
    ) -> Configuration:
        """A draw near the target of trial ``number``, a quick one of several; of
        another branch if that would take too long.

        After some attempts it is any draw of any size, as there are few networks near
        the target.
        """
        # A trial whose known configuration cannot be had gets one of the last.
        position = (number - len(self.portfolio)) % self.n_startup
        target = self._targets[position]
        guesses = self._guesses
        if guesses is None or attempt >= TRIES_NEAR:
            return self._draw_near(target, rng, attempt)
        draws = [self._draw_near(target, rng, attempt) for _ in range(START_DRAWS)]
        durations = guesses.list_new(draws)
        quick = _find_quick(durations, QUICK * durations.min())
        longest = TOO_SLOW * self._usual_duration
        if durations[quick] <= longest:
            return draws[quick]

        others = [draws[quick]]
        for branch in target.others:
            other = replace(target, branch=branch)
            others += [self._draw_near(other, rng, attempt) for _ in range(OTHER_DRAWS)]
        durations = guesses.list_new(others)
        return others[_find_quick(durations, max(longest, durations.min()))]

    @cached_property
    def _guesses(self) -> GuessedDurations | None:
        guess = self.guess_duration
        return GuessedDurations(guess) if guess else None

    @cached_property
    def _usual_duration(self) -> float:
        """The median of what a draw at each of the targets takes."""
        assert self._guesses
        rng = np.random.default_rng([self.seed, self.n_startup, USUAL])
        draws = [self._draw_near(target, rng, 0) for target in self._targets]
        return float(np.median(self._guesses.list_new(draws)))

    def _draw_near(
        self, target: StartTarget, rng: np.random.Generator, attempt: int
    ) -> Configuration:
        share = float(rng.random())
        if attempt < TRIES_NEAR:
            jitter = rng.uniform(-0.5, 0.5) / self.n_startup
            share = min(max(target.share + jitter, 0.0), 1.0)
        near = replace(target, share=share)
        return self.feasible.draw_start(rng, near, self.start_exponent)

    @cached_property
    def _targets(self) -> list[StartTarget]:
        """Those of the first trials, from the first one behind the portfolio on."""
        feasible = self.feasible
        return spread_targets(
            self.n_startup, feasible.axis, feasible.branch_axes, self.start_exponent
        )


@dataclass(frozen=True)
class _Tried:
    """The configuration of a trial, and the same to be looked for among many."""

    params: Configuration
    key: frozenset[tuple[str, Any]]

    @classmethod
    def of(cls, trial: FrozenTrial) -> "_Tried":
        """That of a trial."""
        params = configuration_of(trial)
        return cls(params, frozenset(params.items()))


@dataclass(frozen=True)
class _Others:
    """The configurations of the other trials of a study, those in flight included."""

    configurations: list[Configuration]
    keys: set[frozenset[tuple[str, Any]]]

    @classmethod
    def read(
        cls, study: Study, trial: FrozenTrial, tried: PerTrial[_Tried]
    ) -> "_Others":
        """Those of the trials besides ``trial``."""
        others = cls([], set())
        for other in read_trials_once(study):
            if other.number != trial.number:
                known = tried.of(other)
                others.configurations.append(known.params)
                others.keys.add(known.key)
        return others

    def have(self, params: Configuration) -> bool:
        """Whether one of them is ``params``."""
        return frozenset(params.items()) in self.keys

    def have_part(self, params: Configuration) -> bool:
        """Whether ``params`` are part of one of them."""
        part = params.items()
        return any(part <= other.items() for other in self.configurations)


def _find_quick(durations: NDArray[np.float64], longest: float) -> int:
    """The first position of one that is not longer than that; one of them is not."""
    return int(np.argmax(durations <= longest))


def drawn_for(trial: FrozenTrial) -> Configuration:
    """The whole configuration that was drawn for a trial; empty if none was yet."""
    drawn = trial.system_attrs.get(f"{NOTE}{DRAWN}", {})
    return dict(drawn)


def configuration_of(trial: FrozenTrial) -> Configuration:
    """The configuration that a trial ran with, and what was drawn for it besides, which
    its task did not ask for.
    """
    return drawn_for(trial) | trial.params


def restrict(params: Configuration, names: Collection[str]) -> Configuration:
    """``params`` of these names."""
    part: Configuration = {}
    for name, value in params.items():
        if name in names:
            part[name] = value
    return part


def _to_plain_numbers(params: Configuration) -> Configuration:
    """Numbers of Python's: a database takes none of numpy's, with which some samplers
    draw.
    """
    plain: Configuration = {}
    for name, value in params.items():
        plain[name] = value
        if isinstance(value, np.generic):
            plain[name] = value.item()
    return plain
