"""Every configuration of a grid that fits, once."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from optuna.study import Study
from optuna.trial import FrozenTrial

from paretune.errors import ConfigError
from paretune.search.capped_sampler import CappedSampler, restrict
from paretune.search.costs import Configuration
from paretune.search.distributions import Distributions
from paretune.search.feasible_space import FeasibleSpace
from paretune.search.grid import Grid
from paretune.search.storage import note, read_note

MAX_CONFIGURATIONS = 1_000_000  # of a grid
COUNTED_AT_ONCE = 300  # configurations of a grid; counting one takes milliseconds
PLACE = "place"  # the note of a trial with its place in the order of the grid


class GridSampler(CappedSampler):
    """Trial number n runs the n-th configuration of the grid that fits.

    In an order drawn from ``seed`` or, without ``shuffle``, that of the values as they
    are given, the last parameter's changing first. Configurations are counted as their
    turn comes. Each trial keeps the place of its own in the order, so that another
    process goes on from there. Raises :class:`~paretune.errors.ConfigError` for a
    parameter with endlessly many values, or more configurations than can be tried.
    """

    def __init__(
        self, feasible: FeasibleSpace, *, shuffle: bool = True, seed: int = 0
    ) -> None:
        super().__init__(feasible, n_startup=0, seed=seed)
        self.grid = Grid(feasible.space, feasible.branches)
        size = len(self.grid)
        if size > MAX_CONFIGURATIONS:
            raise ConfigError(
                f"sampler `grid` would try {size:,} configurations, the cap aside; "
                f"expected at most {MAX_CONFIGURATIONS:,}; search less, or use "
                "another sampler"
            )
        self._order: Sequence[int] | NDArray[np.int64] = range(size)
        if shuffle:
            rng = np.random.default_rng(seed)
            self._order = rng.permutation(size)
        self._places: dict[int, int] = {}  # in the order, by the numbers of trials
        # Of the configurations that fit, once it is known.
        self._total: int | None = None

    @property
    def most_trials(self) -> int:
        """The number of configurations that fit, where the grid is so small that all
        are counted at once.

        Else how many may fit.
        """
        size = len(self.grid)
        if size > COUNTED_AT_ONCE:
            return size
        return len(self.points)

    @property
    def points(self) -> list[Configuration]:
        """The configurations that fit, by the numbers of their trials."""
        return [params for _, params in self._find_fitting(0)]

    def has_trial(self, study: Study, number: int) -> bool:
        """Whether there is a configuration for the trial of this number."""
        return self._find_place(study, number) is not None

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: Distributions
    ) -> Configuration:
        """The part that ``search_space`` has of the configuration of the trial; nothing
        if no further one fits.
        """
        place = read_note(trial, PLACE)
        if place is None:
            place = self._find_place(study, trial.number)
            if place is None:
                return {}
            note(study, trial, PLACE, place)
        params = self._at(place) or {}
        return restrict(params, search_space)

    def _find_place(self, study: Study, number: int) -> int | None:
        is_over = self._total is not None and number >= self._total
        if number not in self._places and not is_over:
            if number - 1 not in self._places:
                self._learn_places(study)
            self._walk_to(number)
        return self._places.get(number)

    def _learn_places(self, study: Study) -> None:
        for trial in study.get_trials(deepcopy=False):
            place = read_note(trial, PLACE)
            if place is not None:
                self._places[trial.number] = place

    def _walk_to(self, number: int) -> None:
        """Find the places of the trials up to ``number``, from the nearest one before
        it that is known.
        """
        before = [other for other in self._places if other < number]
        following = 0
        start = 0
        if before:
            nearest = max(before)
            following = nearest + 1
            start = self._places[nearest] + 1
        for place, _ in self._find_fitting(start):
            self._places[following] = place
            if following == number:
                return
            following += 1
        self._total = following

    def _find_fitting(self, start: int) -> Iterator[tuple[int, Configuration]]:
        """The places from ``start`` on whose configurations fit, and these."""
        for place in range(start, len(self.grid)):
            params = self._at(place)
            if params is None:
                continue
            if self.feasible.fits(params) and self.feasible.verify_fits(params):
                yield place, params

    def _at(self, place: int) -> Configuration | None:
        number = int(self._order[place])
        return self.grid.at(number)
