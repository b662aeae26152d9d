"""The policies by their names; a new one is added here.

``first`` is the first generation of the product, which others are compared with;
``portfolio`` begins with known configurations, ``quick`` with quick trials;
``one_surrogate`` has a forest over all families; ``pause`` has that, and trials wait at
rungs instead of being stopped; ``near`` has that surrogate, quick first trials, and
draws near to the config's values; ``unaided`` has that, and trials wait: all that is
there without known configurations; ``all`` has these, too.
"""

from studies.replay.pausing import pause_with
from studies.replay.policy import MakePolicy
from studies.replay.sweeps import (
    begin_quickly,
    begin_with_portfolio,
    make_first,
    make_front,
    make_front_near_defaults,
    make_nsgaii,
    make_random,
    make_tpe,
    sweep_with,
)

FIRST = "first"
POLICIES: dict[str, MakePolicy] = {
    FIRST: sweep_with(make_first),
    "portfolio": sweep_with(begin_with_portfolio(make_first)),
    "quick": sweep_with(begin_quickly(make_first)),
    "one_surrogate": sweep_with(make_front),
    "pause": pause_with(make_front),
    "near": sweep_with(begin_quickly(make_front_near_defaults)),
    "unaided": pause_with(begin_quickly(make_front_near_defaults)),
    "all": pause_with(begin_with_portfolio(begin_quickly(make_front_near_defaults))),
    "random": sweep_with(make_random),
    "tpe": sweep_with(make_tpe),
    "nsgaii": sweep_with(make_nsgaii),
}
