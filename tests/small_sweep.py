"""A sweep of a moment, and ways to run it."""

import sys
from pathlib import Path

import pytest
from hydra.core.global_hydra import GlobalHydra

from log_files import closing_log_files

# The command in a process of its own.
PARETUNE = (sys.executable, "-W", "ignore", "-m", "paretune")
# What is searched, and how many images train, is left to the test.
SMALL_SWEEP = (
    "-m",
    "data=digits",
    "trainer.max_epochs=1",
    "trainer.autotune=false",
    "name=small",
    "cap.max_params=4000",
)


def n_trials(number: int) -> str:
    """The override that sets the sweep's total."""
    return f"hydra.sweeper.n_trials={number}"


def run_sweep(store: Path, *overrides: str) -> None:
    """Run ``paretune train`` in this process, and leave Hydra as it was before."""
    from paretune.commands.train import cli

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PARETUNE_STORE", str(store))
        patch.setattr("sys.argv", ["paretune", *overrides])
        with closing_log_files():
            cli()
    GlobalHydra.instance().clear()
