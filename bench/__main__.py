"""Run the parts named on the command line (all of them by default) and write
``bench/results.json``.
"""

import sys
from pathlib import Path

from bench.running import run_parts

PARTS = (
    "throughput",
    "batch_last",
    "augmentation",
    "asks",
    "real_asks",
    "trials",
    "gap",
    "workers",
    "memory",
    "startup",
    "light",
    "report",
    "scale",
    "cluster",
)

if __name__ == "__main__":
    run_parts("bench", sys.argv[1:] or PARTS, Path(__file__).with_name("results.json"))
