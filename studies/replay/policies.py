"""The policies by their names; a new one is added here.

``first`` is the first generation of the product, which others are compared with;
``portfolio`` begins with known configurations; ``one_surrogate`` has a forest over all
families; ``pause`` has that, and trials wait at rungs instead of being stopped; ``all``
has the three.
"""

from studies.replay.pausing import pause_with
from studies.replay.policy import MakePolicy
from studies.replay.sweeps import (
    begin_with_portfolio,
    make_first,
    make_front,
    make_nsgaii,
    make_random,
    make_tpe,
    sweep_with,
)

FIRST = "first"
POLICIES: dict[str, MakePolicy] = {
    FIRST: sweep_with(make_first),
    "portfolio": sweep_with(begin_with_portfolio(make_first)),
    "one_surrogate": sweep_with(make_front),
    "pause": pause_with(make_front),
    "all": pause_with(begin_with_portfolio(make_front)),
    "random": sweep_with(make_random),
    "tpe": sweep_with(make_tpe),
    "nsgaii": sweep_with(make_nsgaii),
}
