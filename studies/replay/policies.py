"""The policies by their names; a new one is added here.

``first`` is the first generation of the product, which others are compared with.
"""

from studies.replay.pausing import make_pausing
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

POLICIES: dict[str, MakePolicy] = {
    "first": sweep_with(make_first),
    "portfolio": sweep_with(begin_with_portfolio),
    "one_surrogate": sweep_with(make_front),
    "pause": make_pausing,
    "random": sweep_with(make_random),
    "tpe": sweep_with(make_tpe),
    "nsgaii": sweep_with(make_nsgaii),
}
