"""A Hydra sweeper, and the options that it takes. What it does is in
:mod:`paretune.search`.

Hydra imports this at every start, so that nothing heavy is imported here.
"""

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING


@dataclass
class CapOptions:
    """The hard bound on what a configuration costs."""

    # Largest cost that is ever run; null for no cap; one for each name if there are
    # several costs.
    max: Any = None
    # Draws are spread over the costs above it, and cheaper is worth no more; null: the
    # smallest.
    min: int | None = None
    # dotted path of a function from a composed config to its cost, a whole number; or
    # to several by their names, each a number or a list of which the largest is the
    # cost. If it has a method prepare(config), that gives a function from drawn values,
    # by their dotted names, to the costs of the config with them, so that no config is
    # composed for a draw
    count: str | None = None
    # The name of the cost that is the objective; of a single one what it counts, in
    # words.
    cost: str = "parameters"
    # Words for the names, those of metric_names too.
    units: dict[str, str] | None = None
    # Config nodes that it reads (groups are told by trying); null: any. Saves counting.
    reads: list[str] | None = None


@dataclass
class RaceOptions:
    """Stopping trials that cannot reach the front; a task takes part by
    `current_trial().report(epoch, cost, score)`.
    """

    eta: int | None = None  # at a rung the best 1/eta may go on; null: no race
    rungs: int = 2  # number of rungs, at min_epochs, min_epochs * eta, ...
    min_epochs: int = 1  # epoch of the first rung
    # A trial whose error is at most this share above the lowest of those that cost no
    # more goes on, too.
    margin: float = 0.15
    # Trials wait at each rung with their weights, and the one goes on that is worth most
    # a second, or a new one begins. For tasks that can be left and taken up again.
    pause: bool = False
    # An attempt that took fewer seconds goes on at a rung, if the race lets it.
    pause_from_s: float = 2.0


@dataclass
class SweepOptions:
    """How a sweep is run: one field a line, with what it is beside or above it."""

    sampler: Any = MISSING  # any Optuna sampler by `_target_`
    direction: Any = "minimize"  # minimize or maximize; a list for several objectives
    # Names of the values for Optuna's plots, one for each direction.
    metric_names: list[str] | None = None
    storage: str | None = None  # SQLAlchemy URL of the study; null keeps it in memory
    # the study's name; null makes one from the command line, so that the same command
    # resumes it
    study_name: str | None = None
    # Total number of trials, over all workers and restarts; null: as many as
    # timeout_s, flat_trials or a grid let there be.
    n_trials: int | None = 20
    n_jobs: int = 1  # parallel workers
    # No further trial starts after so many seconds of one command.
    timeout_s: float | None = None
    # the sweep ends once so many trials in a row added no more than the share
    # `tolerance` to the hypervolume
    flat_trials: int | None = None
    tolerance: float = 0.001
    trial_timeout_s: float | None = None  # a trial that runs for longer fails
    # A worker process is replaced by a fresh one after so many trials.
    recycle_after: int | None = None
    # Modules that workers need before their first trial; they are imported once for all
    # of them, and should start no threads.
    preload: list[str] | None = None
    # The sweep stops once more than this share of n_trials has failed; without a total,
    # of the trials so far.
    max_failure_rate: float = 0.3
    retry: int = 3  # a trial whose worker dies is started again this often
    # Trials that failed before run again, under their numbers and with their values: for
    # when what they failed of is mended.
    retry_failed: bool = False
    # Work on a sweep that was started elsewhere (paretune worker); start none, and end
    # with it.
    join: bool = False
    params: Any = None  # search space, in Hydra's sweep grammar
    # configurations that run first, each as overrides in a line; what is searched takes
    # its value from there, the rest does not. `portfolio`: those of `portfolio`, as far
    # as the space has them. `auto`: the same where families are searched, else none
    start: Any = None
    # Dotted path of a function that returns known configurations, each a mapping of
    # searched keys to values.
    portfolio: str | None = None
    # Dotted path of a function from the composed config to a function from drawn values,
    # by their dotted names (of a config group its option), to about how long a trial
    # with them takes, in any unit. The first trials are quick ones; null: any.
    duration: str | None = None
    # dotted path of a function (config, optuna trial) that suggests more parameters
    custom_search_space: str | None = None
    # Draws of the sweeper's own (the first trials under a cap, candidates of `front`) keep
    # most settings near to the values of the config.
    near_defaults: bool = True
    # Name of a node of the composed config that holds the search space of its config
    # groups.
    space: str | None = None
    # nodes of the composed config whose values a study keeps; with others it is a
    # different configuration, and refused; ~node is left out of it
    question: list[str] | None = None
    cap: CapOptions = field(default_factory=CapOptions)
    race: RaceOptions = field(default_factory=RaceOptions)
    # any Optuna pruner by `_target_`, for one objective; the task takes part by
    # `current_trial().report(epoch, value)`
    pruner: Any = None
    # object with start(sweep, facts) and finish(status, reasons, running), told of the
    # sweep's life; one with compare(sweep, storage, study_id, n_trials, complete), too,
    # may refuse a study that is not of the trials that it has recorded
    recorder: Any = None
