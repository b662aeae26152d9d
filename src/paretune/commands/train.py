"""``paretune train``: one training, or with ``-m`` a sweep of them.

Imports of torch, Lightning and MLflow are late, so that ``--help`` and a wrong override
answer at once.
"""

import logging
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, chdir, contextmanager, nullcontext
from dataclasses import dataclass
from math import nan
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import CompactHydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from paretune import paths, schema
from paretune.commands.arguments import command_line
from paretune.commands.checking import (
    check_cost,
    check_recipe,
    check_settings,
    check_unseen,
    refuse_options,
    refuse_sweeper,
)
from paretune.commands.jobs import read_trust
from paretune.commands.mistakes import check_text, exit_on_mistake
from paretune.hints import next_command
from paretune.importing import many_imports
from paretune.overrides import STUDY_NAME, quote_name, quote_option
from paretune.secrets import refuse_passwords
from paretune.settings import PATHS, SETTINGS

if TYPE_CHECKING:
    from paretune.front import Candidate
    from paretune.search import TrialHandle
    from paretune.tracking import RunRecorder

log = logging.getLogger(__name__)

schema.register()  # before Hydra composes

# Settings that may hold relative paths.
RELATIVE_PATHS = (*PATHS, "data.root", "tracking.artifacts", "tracking.spool")
SQLITE = "sqlite:///"
TEXT_SETTINGS = ("name", "data.name", STUDY_NAME)  # text as typed
# Beginnings of the overrides that a search for smaller networks shares with a training.
SHARED_WITH_SEARCH = ("data=", "data.", "model=", "cap.")
# The parts of a config that are read here, beside those that the training depends on.
RECORDED_BY = ("cost", "recipe", "test", "tracking", "trust")


@dataclass(frozen=True)
class _Job:
    """A training that may begin: its plain ``config``, the model, and the trial that it
    is of a sweep.
    """

    config: Mapping[str, Any]
    candidate: "Candidate"
    trial: "TrialHandle | None"


@hydra.main(config_path=str(paths.CONF), config_name="train", version_base="1.3")
def main(cfg: DictConfig) -> Sequence[float]:
    """Train once and record it; returns (the cost that ``cost`` names, validation
    F1).
    """
    hydra_job = HydraConfig.get()
    is_single = hydra_job.mode != RunMode.MULTIRUN
    # A sweep counts a failed trial.
    with _exit_in_a_line() if is_single else nullcontext():
        job = _prepare(cfg, is_single=is_single)

        with many_imports():
            from paretune.experiment import Experiment, train_recorded

        experiment = Experiment(
            job.candidate,
            Path(hydra_job.runtime.output_dir),
            test=job.config["test"],
            trust=read_trust(job.config["trust"]),
            cost=job.config["cost"],
        )
        with _open_recorder(job) as recorder:
            point = train_recorded(experiment, recorder)
        if is_single:
            log.info(_suggest_next(hydra_job.overrides.task))
    return point.costs.get(experiment.cost, nan), point.f1


def _prepare(cfg: DictConfig, *, is_single: bool) -> _Job:
    """Read the composed config, and check what can be known before torch is imported.

    Raises :class:`~paretune.errors.ConfigError` for a training that may not begin.
    """
    from paretune.search import current_trial
    from paretune.start import (
        TRAINED_BY,
        prepare_candidate,
        read_sections,
        warn_without_effect,
    )

    hydra_job = HydraConfig.get()
    keep_paths(cfg)
    if is_single:
        with chdir(hydra_job.runtime.cwd):  # where relative options of Hydra's lead
            check_settings(cfg)
        refuse_sweeper(hydra_job.overrides.hydra)
    trial = current_trial()
    config = read_sections(cfg, (*TRAINED_BY, *RECORDED_BY))
    check_cost(config)
    check_unseen(config, in_sweep=trial is not None)
    if trial is None or trial.number == 0:  # a sweep says it once
        warn_without_effect(config["trainer"], hydra_job.overrides.task)
    data = config["data"].get("name") or hydra_job.runtime.choices["data"]
    return _Job(config, prepare_candidate(config, data), trial)


def _suggest_next(overrides: Sequence[str]) -> str:
    """The command that usually comes after a single training: a search for smaller
    networks, on the same data and under the same cap.
    """
    kept = [
        override for override in overrides if override.startswith(SHARED_WITH_SEARCH)
    ]
    return next_command("train", "-m", *kept, "hydra.sweeper.n_trials=50")


@contextmanager
def _exit_in_a_line() -> Iterator[None]:
    """A mistake in one training is one line and exit code 2; Ctrl-C and SIGTERM are one
    line and 130 or 143.
    """
    from paretune.search.interrupts import exit_code_of, is_interrupt, listen

    # A log that cannot be written is no reason for a traceback at each of its lines.
    logging.raiseExceptions = False
    listen()
    with exit_on_mistake("paretune train", CompactHydraException):
        try:
            yield
        except BaseException as error:
            if not is_interrupt(error):
                raise
            print("paretune train: the training was stopped", file=sys.stderr)
            raise SystemExit(exit_code_of(error)) from None


def cli(
    arguments: Sequence[str] | None = None, command: str = "paretune train"
) -> None:
    """Run the command; a person's mistake is one line that names it and exit code 2,
    not a traceback.
    """
    # Hydra then raises its errors instead of printing them.
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")
    os.environ["PARETUNE_STORE"] = str(paths.store())
    paths.import_from_working_folder()
    with exit_on_mistake(
        command, CompactHydraException, OmegaConfBaseException, YAMLError
    ):
        lines = read_lines(sys.argv[1:] if arguments is None else arguments)
        # Options of one's own, beside Paretune's.
        if Path("conf").is_dir() and Path("conf").resolve() != paths.CONF.resolve():
            lines = ["--config-dir", "conf", *lines]
        with command_line(lines):
            main()


def read_lines(arguments: Sequence[str]) -> list[str]:
    """The arguments, checked, as Hydra reads what a person means by them."""
    refuse_passwords(*arguments)  # before Hydra saves them
    check_text(arguments)
    refuse_options(arguments, SETTINGS)
    check_recipe(arguments)
    groups = _list_groups()
    return [
        quote_option(quote_name(argument, TEXT_SETTINGS), groups)
        for argument in arguments
    ]


def _list_groups() -> set[str]:
    """The config groups of Paretune and of the working folder."""
    groups = {"trainer"}
    for parent in (paths.CONF, Path("conf")):
        groups.update(folder.name for folder in parent.glob("*/"))
    return groups


def keep_paths(cfg: DictConfig) -> None:
    """Have relative paths start in the folder of the command, also where
    ``hydra.job.chdir`` has put the job into its own.
    """
    folder = Path(HydraConfig.get().runtime.cwd)
    if folder == Path.cwd():
        return
    for setting in RELATIVE_PATHS:
        path = OmegaConf.select(cfg, setting)
        if path is not None:
            OmegaConf.update(cfg, setting, str(folder / path))
    uri = cfg.tracking.uri
    if uri and uri.startswith(SQLITE):
        cfg.tracking.uri = f"{SQLITE}{folder / uri.removeprefix(SQLITE)}"


def _open_recorder(job: _Job) -> "AbstractContextManager[RunRecorder | None]":
    """The recorder of a training; none where nothing is tracked."""
    config, candidate = job.config, job.candidate
    if not config["tracking"]["uri"]:
        return nullcontext()
    from paretune.tracking.schema import Tag

    recipe = config["recipe"]
    tags = {Tag.DATA: candidate.data}
    if recipe:
        tags[Tag.RECIPE] = recipe
    # A model may be given on the command line, without the YAML of a family.
    choice = HydraConfig.get().runtime.choices.get("model")
    if choice:
        tags[Tag.MODEL] = str(choice)
    if job.trial:
        return _record_trial(config["tracking"], tags, job.trial)
    return _record_single(
        config["tracking"],
        tags,
        name=recipe or f"{candidate.family}-{candidate.params}",
        seed=config["seed"],
    )


def _record_single(
    tracking: Mapping[str, Any], tags: Mapping[str, str], *, name: str, seed: int
) -> "RunRecorder":
    from paretune.tracking import RunRecorder, Store
    from paretune.tracking.schema import RunKind, Tag

    return RunRecorder(
        Store(**tracking),
        name,
        tags={**tags, Tag.KIND: RunKind.RUN},
        searched={"seed": str(seed)},
    )


def _record_trial(
    tracking: Mapping[str, Any], tags: Mapping[str, str], trial: "TrialHandle"
) -> "RunRecorder":
    from paretune.tracking import RunRecorder, Store
    from paretune.tracking.schema import Tag, name_trial, tag_trial

    of_trial = tag_trial(trial.sweep, trial.number, trial.attempt)
    return RunRecorder(
        Store(**tracking),
        name_trial(trial.sweep, trial.number),
        tags={**tags, **of_trial},
        searched=trial.searched,
        replaces=(Tag.SWEEP, Tag.TRIAL) if trial.attempt else (),
    )
