"""``paretune train``: one training, or with ``-m`` a sweep of them; ``paretune sweep``
and ``paretune worker``.

Imports of torch, Lightning and MLflow are late, so that ``--help`` and a wrong override
answer at once.
"""

import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, chdir, contextmanager, nullcontext
from functools import cache, partial
from math import nan
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import CompactHydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from paretune import paths, schema
from paretune.commands.mistakes import check_text, exit_on_mistake
from paretune.errors import ConfigError
from paretune.hints import next_command
from paretune.overrides import STUDY_NAME, as_option, as_typed
from paretune.secrets import refuse_passwords
from paretune.settings import PATHS, SETTINGS, check, check_all, mend

if TYPE_CHECKING:
    from paretune.counting import Counts
    from paretune.front import Candidate
    from paretune.search import TrialHandle
    from paretune.tracking import RunRecorder

log = logging.getLogger(__name__)

schema.register()  # before Hydra composes

# Settings that may hold relative paths.
RELATIVE = (*PATHS, "data.root", "tracking.artifacts", "tracking.spool")
SQLITE = "sqlite:///"
NAMES = ("name", "data.name", STUDY_NAME)  # text as typed
HYDRA_OPTIONS = (
    "--help",
    "--hydra-help",
    "--version",
    "--cfg",
    "--resolve",
    "--package",
    "--run",
    "--multirun",
    "--shell-completion",
    "--config-path",
    "--config-name",
    "--config-dir",
    "--experimental-rerun",
    "--info",
)


@hydra.main(config_path=str(paths.CONF), config_name="train", version_base="1.3")
def main(cfg: DictConfig) -> Sequence[float]:
    """Train once and record it; returns (the cost that ``cost`` names, validation
    F1).
    """
    # Which counts a failed trial and goes on.
    in_sweep = HydraConfig.get().mode == RunMode.MULTIRUN
    with nullcontext() if in_sweep else _exit_in_a_line():
        keep_paths(cfg)
        if not in_sweep:
            # Where relative options of Hydra's lead.
            with chdir(HydraConfig.get().runtime.cwd):
                _check_settings(cfg)
            _refuse_sweeper(HydraConfig.get().overrides.hydra)
        from paretune.search import current_trial
        from paretune.start import prepare_candidate, tell_without_effect

        trial = current_trial()
        _check_cost(cfg)
        _check_unseen(cfg, in_sweep=trial is not None)
        if trial is None or trial.number == 0:  # a sweep says it once
            tell_without_effect(cfg.trainer, HydraConfig.get().overrides.task)
        candidate = prepare_candidate(
            cfg, cfg.data.get("name") or HydraConfig.get().runtime.choices["data"]
        )
        from paretune.experiment import train_recorded  # imports torch

        with _recorder(cfg, candidate, trial) as recorder:
            point = train_recorded(cfg, candidate, recorder)
        if not in_sweep:
            log.info(_next(HydraConfig.get().overrides.task))
    return point.costs.get(cfg.cost, nan), point.f1


def _next(overrides: Sequence[str]) -> str:
    """What usually comes after a single training: a search for smaller networks, on the
    same data and under the same cap.
    """
    kept = [
        override
        for override in overrides
        if override.startswith(("data=", "data.", "model=", "cap."))
    ]
    return next_command("train", "-m", *kept, "hydra.sweeper.n_trials=50")


@contextmanager
def _exit_in_a_line() -> Iterator[None]:
    """A mistake in one training is one line and exit code 2; SIGTERM and Ctrl-C are one
    line and 130.
    """
    from paretune.search.interrupts import interrupted, listen

    # A log that cannot be written is no reason for a traceback at each of its lines.
    logging.raiseExceptions = False
    listen()
    with exit_on_mistake("paretune train", CompactHydraException):
        try:
            yield
        except BaseException as error:
            if not interrupted(error):
                raise
            print("paretune train: the training was stopped", file=sys.stderr)
            raise SystemExit(130) from None


def cli(command: str = "paretune train") -> None:
    """Train as ``sys.argv`` says; a person's mistake is one line that names the
    ``command`` and exit code 2, not a traceback.
    """
    # Hydra then raises its errors instead of printing them.
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")
    os.environ["PARETUNE_STORE"] = str(paths.store())
    paths.import_from_working_folder()
    if Path("conf").is_dir() and Path("conf").resolve() != paths.CONF.resolve():
        # Options of one's own, beside Paretune's.
        sys.argv[1:1] = ["--config-dir", "conf"]
    with exit_on_mistake(
        command, CompactHydraException, OmegaConfBaseException, YAMLError
    ):
        refuse_passwords(*sys.argv[1:])  # before Hydra saves them
        check_text(sys.argv[1:])
        _refuse_options(sys.argv[1:])
        arguments = [as_typed(argument, NAMES) for argument in sys.argv[1:]]
        sys.argv[1:] = [as_option(argument, _list_groups()) for argument in arguments]
        main()


def _list_groups() -> set[str]:
    """The config groups of Paretune and of the working folder."""
    folders = [
        folder for parent in (paths.CONF, Path("conf")) for folder in parent.glob("*/")
    ]
    return {"trainer", *(folder.name for folder in folders)}


def _refuse_options(arguments: Sequence[str]) -> None:
    """Raise :class:`~paretune.errors.ConfigError` for an option such as ``--epochs``,
    as other programs have them.
    """
    for option in (
        argument.partition("=")[0]
        for argument in arguments
        if argument.startswith("--")
    ):
        if option not in HYDRA_OPTIONS:
            raise ConfigError(
                f"option `{option}` is unknown; expected settings as NAME=VALUE; "
                f"{mend(option[2:], SETTINGS, 'see --help')}"
            )
    if "--resolve" in arguments and not any(
        argument.startswith(("--cfg", "-c", "--help")) for argument in arguments
    ):
        raise ConfigError(
            "option `--resolve` shows nothing alone; expected the config with it; "
            "write --cfg job --resolve"
        )


class ModelCount:
    """What models cost. A sweep asks this before it proposes a trial."""

    def __call__(self, cfg: DictConfig) -> "Counts":
        """The costs of the model of a composed config, by their names; of RAM what is
        in use at each operation.

        Raises :class:`~paretune.errors.ConfigError` if no sweep may run it.
        """
        return self.prepare(cfg)({})

    def prepare(self, cfg: DictConfig) -> "Callable[[Mapping[str, Any]], Counts]":
        """A function from drawn values, by their dotted names, to the costs of the
        config with these values.

        Raises :class:`~paretune.errors.ConfigError` if no sweep may run the config.
        """
        # Not in a worker, whose parent has checked.
        if GlobalHydra.instance().is_initialized():
            _check_settings(cfg)
        _check_cost(cfg)
        _check_unseen(cfg, in_sweep=True)
        from paretune.counting import ModelCounter

        return ModelCounter(cfg)


count = ModelCount()


def keep_paths(cfg: DictConfig) -> None:
    """Have relative paths start in the folder of the command, also where
    ``hydra.job.chdir`` has put the job into its own.
    """
    folder = Path(HydraConfig.get().runtime.cwd)
    if folder == Path.cwd():
        return
    for setting in RELATIVE:
        path = OmegaConf.select(cfg, setting)
        if path is not None:
            OmegaConf.update(cfg, setting, str(folder / path))
    uri = cfg.tracking.uri
    if uri and uri.startswith(SQLITE):
        cfg.tracking.uri = f"{SQLITE}{folder / uri.removeprefix(SQLITE)}"


def _check_settings(cfg: DictConfig) -> None:
    """Raise :class:`~paretune.errors.ConfigError` for a setting that is wrong beside
    what its groups alone say.
    """
    hydra_config = cfg.hydra if "hydra" in cfg else HydraConfig.get()
    check("name", hydra_config.sweeper.study_name)
    found_by = tuple(
        line
        for line in hydra_config.overrides.hydra
        if line.startswith("hydra.searchpath=")
    )
    choices = hydra_config.runtime.choices.items()
    chosen = {
        group: option
        for group, option in choices
        if option and group != "sweeps" and not group.startswith("hydra/")
    }
    check_all(
        _settings(cfg),
        _defaults(
            Path.cwd(), hydra_config.job.config_name, found_by, tuple(chosen.items())
        ),
    )


@cache
def _defaults(
    folder: Path,
    config_name: str,
    found_by: tuple[str, ...],
    chosen: tuple[tuple[str, str], ...],
) -> dict[str, Any]:
    """The settings with these options of the groups, those of a working folder too,
    before a sweep's file or the command line changes them.

    Raises :class:`~paretune.errors.ConfigError` for an option of the working folder
    that Paretune's own takes the place of.
    """
    for group, option in chosen:
        name = f"{group}/{option}.yaml"
        own, theirs = folder / "conf" / name, paths.CONF / name
        if (
            own.is_file()
            and theirs.is_file()
            and own.read_bytes() != theirs.read_bytes()
        ):
            raise ConfigError(
                f"config `conf/{name}` has the name of one of Paretune's, which comes "
                "first; expected another name; rename the file"
            )
    load = partial(
        GlobalHydra.instance().config_loader().load_configuration,
        config_name,
        run_mode=RunMode.RUN,
    )
    plain = load([*found_by])
    usual = plain.hydra.runtime.choices
    others = [(group, option) for group, option in chosen if usual.get(group) != option]
    lines = [
        f"{'' if group in usual else '+'}{group}={option}" for group, option in others
    ]
    return _settings(load([*found_by, *lines]) if lines else plain)


def _settings(config: DictConfig) -> dict[str, Any]:
    settings: Any = OmegaConf.to_container(config)
    return {name: value for name, value in settings.items() if name != "hydra"}


def _refuse_sweeper(overrides: Sequence[str]) -> None:
    """Raise :class:`~paretune.errors.ConfigError` for what one training does not
    heed.
    """
    for override in overrides:
        if override.startswith(("hydra.sweeper", "hydra/sweeper")):
            raise ConfigError(
                f"`{override}` says nothing of one training; expected -m with it; "
                f"write paretune train -m {override}"
            )


def _check_cost(cfg: DictConfig) -> None:
    """Raise :class:`~paretune.errors.ConfigError` unless the cost that a front is drawn
    over is known.
    """
    if cfg.cost != "params" and cfg.cap.min_params is not None:
        raise ConfigError(
            f"cap.min_params `{cfg.cap.min_params}` says nothing of a front over "
            f"{cfg.cost}; expected null; leave it out"
        )


def _check_unseen(cfg: DictConfig, *, in_sweep: bool) -> None:
    """Raise :class:`~paretune.errors.ConfigError` if an epoch or a trial would be
    chosen by images that it may not see.
    """
    choosers = {
        "in a sweep": in_sweep,
        f"with selection.epoch `{cfg.selection.epoch}`": cfg.selection.epoch != "last",
        f"with trainer.patience `{cfg.trainer.patience}`": cfg.trainer.patience
        is not None,
    }
    where = next((words for words, chooses in choosers.items() if chooses), None)
    if where and OmegaConf.select(cfg, "data.splitting.train_on_val"):
        raise ConfigError(
            f"data.splitting.train_on_val `true` {where} would choose by images that "
            "were trained on; expected false; "
            "set it for a last training, with selection.epoch=last "
            "trainer.patience=null"
        )
    if in_sweep and (cfg.test or cfg.selection.split != "validation"):
        setting = (
            "test `true`" if cfg.test else f"selection.split `{cfg.selection.split}`"
        )
        raise ConfigError(
            f"{setting} would let a sweep see the test set; expected test=false and "
            "selection.split=validation in a sweep"
        )


def _recorder(
    cfg: DictConfig, candidate: "Candidate", trial: "TrialHandle | None"
) -> "AbstractContextManager[RunRecorder | None]":
    if not cfg.tracking.uri:
        return nullcontext()
    from paretune.tracking import RunRecorder, Store

    tracking: Any = OmegaConf.to_container(cfg.tracking, resolve=True)
    store, tags = (
        Store(**tracking),
        {"data": candidate.data} | ({"recipe": cfg.recipe} if cfg.recipe else {}),
    )
    # A model may be given on the command line, without the YAML of a family.
    if choice := HydraConfig.get().runtime.choices.get("model"):
        tags["model"] = str(choice)
    if trial is None:
        name = cfg.recipe or f"{candidate.family}-{candidate.params}"
        return RunRecorder(
            store, name, tags={**tags, "kind": "run"}, searched={"seed": str(cfg.seed)}
        )
    tags |= {
        "kind": "trial",
        "sweep": trial.sweep,
        "trial": str(trial.number),
        "attempt": str(trial.attempt),
    }
    same = ("sweep", "trial") if trial.attempt else ()
    return RunRecorder(
        store,
        f"{trial.sweep}-{trial.number:05d}",
        tags=tags,
        searched=trial.searched,
        replaces=same,
    )
