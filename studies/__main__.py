"""Run the studies named on the command line (all of them by default) and write
``studies/results.json``.
"""

import sys
from pathlib import Path

from bench.running import run_parts

PARTS = (
    "ranking",
    "search",
    "optimizers",
    "tricks",
    "kills",
    "starts",
    "racing",
    "replay",
    "peer",
    "spread",
)

if __name__ == "__main__":
    run_parts(
        "studies", sys.argv[1:] or PARTS, Path(__file__).with_name("results.json")
    )
