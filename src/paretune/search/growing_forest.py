"""A forest of all that was measured so far, which is seldom grown anew."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from paretune.search.forest import Forest
from paretune.search.observations import Observation, ObservationKey

Learn = Callable[[Sequence[Observation]], Forest]
ALL_NEW = 20  # observations up to which the trees are grown at each ask
MORE = 0.05  # as a share of those that the trees were grown from, till they are again


def count_grown(n_observations: int) -> int:
    """From how many of so many observations, the first ones, the trees are grown."""
    if n_observations <= ALL_NEW:
        return n_observations
    grown = ALL_NEW
    while True:
        following = max(grown + 1, int(grown * (1 + MORE)))
        if following > n_observations:
            return grown
        grown = following


@dataclass
class GrowingForest:
    """The trees that were grown last, and the observations that they were grown from.

    What comes of it depends on the observations alone, not on what was asked before, as
    long as it ``is_exact``.
    """

    forest: Forest | None = None
    learnt: list[ObservationKey] = field(default_factory=list)

    def grow(
        self, seen: Sequence[Observation], learn: Learn, *, is_exact: bool
    ) -> tuple[Forest, list[Observation]]:
        """Trees that ``learn`` grows from most of the observations, and those that they
        were not grown from.

        They are grown from the first ones, so many as :func:`count_grown` says. Where
        it need not be exact, trees that were grown from other ones will do.
        """
        is_good_enough = not is_exact and self._is_of_most(seen)
        if self.forest is None or not is_good_enough:
            self._grow_from(seen[: count_grown(len(seen))], learn)
        assert self.forest
        learnt = set(self.learnt)
        since = [one for one in seen if one.key not in learnt]
        return self.forest, since

    def _grow_from(self, first: Sequence[Observation], learn: Learn) -> None:
        """Grow the trees from these, unless they were."""
        keys = [one.key for one in first]
        if self.forest is None or keys != self.learnt:
            self.forest = learn(first)
            self.learnt = keys

    def _is_of_most(self, seen: Sequence[Observation]) -> bool:
        """Whether the trees were grown from most of these, and from nothing else."""
        keys = {one.key for one in seen}
        n_learnt = len(self.learnt)
        most = max(n_learnt + 1, n_learnt * (1 + MORE))
        return len(keys) <= most and keys.issuperset(self.learnt)
