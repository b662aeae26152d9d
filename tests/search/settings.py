"""Settings that tests start from."""

from collections.abc import Callable

from paretune.search.racing import Race
from paretune.search.stopping import Limits

LIMITS = Limits(
    n_trials=9,
    max_failure_rate=0.5,
    retry=3,
    timeout_s=None,
    trial_timeout_s=None,
    flat_trials=None,
    tolerance=0.001,
)
RACE = Race(eta=4, rungs=2, min_epochs=1, margin=0.15)


def up_to(total: int) -> Callable[[int], bool]:
    """Whether a sweep of so many trials has more than those that were begun."""
    return lambda begun: begun < total
