"""A Hydra sweeper, and the options that it takes. What it does is in :mod:`paretune.search`.

Hydra imports this at every start, so that nothing heavy is imported here.
"""

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING


@dataclass
class CapOptions:
    """The hard bound on what a configuration costs."""

    # largest cost that is ever run; null for no cap
    max: int | None = None
    # dotted path of a function from a composed config to its cost, a whole number
    count: str | None = None
    # what it counts, in words, for messages
    cost: str = "parameters"


@dataclass
class RaceOptions:
    """Stopping trials that cannot reach the front; a task takes part by `current_trial().report(epoch, cost, score)`."""

    # at a rung the best 1/eta may go on; null: no race
    eta: int | None = None
    # number of rungs, at min_epochs, min_epochs * eta, ...
    rungs: int = 2
    # epoch of the first rung
    min_epochs: int = 1
    # whoever's error is at most this share above the lowest one that costs no more goes on, too
    margin: float = 0.15


@dataclass
class SweepOptions:
    """One field a line; the comment above it says what it is."""

    # any Optuna sampler by `_target_`
    sampler: Any = MISSING
    # minimize or maximize; a list for several objectives
    direction: Any = "minimize"
    # SQLAlchemy URL of the study; null keeps it in memory
    storage: str | None = None
    # the study's name; null makes one from the command line, so that the same command resumes it
    study_name: str | None = None
    # total number of trials, over all workers and restarts
    n_trials: int = 20
    # parallel workers
    n_jobs: int = 1
    # no further trial starts after so many seconds of one command
    timeout_s: float | None = None
    # the sweep ends once so many trials in a row added no more than the share `tolerance` to the hypervolume
    flat_trials: int | None = None
    tolerance: float = 0.001
    # a trial that runs for longer fails
    trial_timeout_s: float | None = None
    # a worker process is replaced by a fresh one after so many trials
    recycle_after: int | None = None
    # workers that may share a GPU; null: as many as there are
    workers_per_gpu: int | None = None
    # the sweep stops once more than this share of n_trials has failed
    max_failure_rate: float = 0.3
    # a trial whose worker dies is started again this often
    retry: int = 3
    # work on a sweep that was started elsewhere (paretune-worker); start none, and end with it
    join: bool = False
    # search space, in Hydra's sweep grammar
    params: Any = None
    # dotted path of a function (config, optuna trial) that suggests more parameters
    custom_search_space: str | None = None
    # name of a node of the composed config that holds the search space of its config groups
    space: str | None = None
    # nodes of the composed config whose values a study keeps; with others it is another question, and refused
    question: list[str] | None = None
    cap: CapOptions = field(default_factory=CapOptions)
    race: RaceOptions = field(default_factory=RaceOptions)
    # any Optuna pruner by `_target_`, for one objective; the task takes part by `current_trial().report(epoch, value)`
    pruner: Any = None
    # object with start(sweep, facts) and finish(status, reasons, running), told of the sweep's life
    recorder: Any = None
