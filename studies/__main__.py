"""Run the studies named on the command line (all of them by default) and write
``studies/results.json``; ``curves``, ``replay`` and ``zoo`` are commands of their
own.
"""

import sys
from importlib import import_module
from pathlib import Path

from bench.running import run_parts

COMMANDS = {
    "curves": "studies.curves.command",
    "portfolio": "studies.portfolio",
    "predicting": "studies.predicting",
    "replay": "studies.replay.command",
    "zoo": "studies.zoo",
}
PARTS = (
    "ranking",
    "search",
    "optimizers",
    "tricks",
    "kills",
    "starts",
    "racing",
    "race_settings",
    "peer",
    "spread",
)

if __name__ == "__main__":
    name, *arguments = sys.argv[1:] or [""]
    if name in COMMANDS:
        import_module(COMMANDS[name]).main(arguments)
    else:
        run_parts(
            "studies", sys.argv[1:] or PARTS, Path(__file__).with_name("results.json")
        )
