"""The settings of a training, checked before anything heavy is imported."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from paretune import paths
from paretune.errors import ConfigError
from paretune.settings import advise, check, check_all

SETTINGS_OF_HYDRA = "hydra"
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
# Beginnings of the arguments by which a person says where configs are.
SEARCHING = ("--config-dir", "-cd", "hydra.searchpath")
RECIPE_LINE = re.compile(r"\++recipe=(?P<name>[\w./-]+?)(\.yaml)?")
# Options that show a config, which --resolve belongs to.
SHOWING_OPTIONS = ("--cfg", "-c", "--help")


def refuse_options(arguments: Sequence[str], settings: Sequence[str]) -> None:
    """Raise :class:`~paretune.errors.ConfigError` for an option such as ``--epochs``,
    as other programs have them; the nearest of the ``settings`` is named.
    """
    for argument in arguments:
        option = argument.partition("=")[0]
        if option.startswith("--") and option not in HYDRA_OPTIONS:
            advice = advise(option.removeprefix("--"), settings, "see --help")
            raise ConfigError(
                f"option `{option}` is unknown; settings are written NAME=VALUE; "
                f"{advice}"
            )
    is_shown = any(argument.startswith(SHOWING_OPTIONS) for argument in arguments)
    if "--resolve" in arguments and not is_shown:
        raise ConfigError("--resolve needs --cfg; write --cfg job --resolve")


def check_recipe(arguments: Sequence[str]) -> None:
    """Raise :class:`~paretune.errors.ConfigError` for a recipe that is not there, with
    the nearest that is.

    Hydra would list those of one folder alone.
    """
    if any(argument.startswith(SEARCHING) for argument in arguments):
        return
    for argument in arguments:
        if found := RECIPE_LINE.fullmatch(argument):
            check_recipe_name(found["name"])


def check_recipe_name(name: str) -> None:
    """The same of a recipe's ``name`` alone."""
    names = paths.recipe_names()
    if name not in names:
        advice = advise(name, names, "choose a recipe that is there")
        raise ConfigError(
            f"recipe `{name}` is unknown; expected one of "
            f"{', '.join(_list_beside(name, names))}; {advice}"
        )


def _list_beside(name: str, names: Sequence[str]) -> list[str]:
    """Those of the ``names`` that are in the folder of ``name``; where there is no such
    folder all, each folder as one.
    """
    folder, slash, _ = name.rpartition("/")
    inside = [other for other in names if other.startswith(folder + slash)]
    if slash and inside:
        return inside
    shown: list[str] = []
    for other in names:
        first, slash, _ = other.partition("/")
        shown.append(f"{first}/..." if slash else other)
    return list(dict.fromkeys(shown))


def refuse_sweeper(overrides: Sequence[str]) -> None:
    """Raise :class:`~paretune.errors.ConfigError` for what one training does not
    heed.
    """
    for override in overrides:
        if override.startswith(("hydra.sweeper", "hydra/sweeper")):
            raise ConfigError(
                f"`{override}` has no effect on a single training; add -m to run a "
                "sweep"
            )


def check_settings(cfg: DictConfig) -> None:
    """Raise :class:`~paretune.errors.ConfigError` for a setting that is wrong beside
    what its groups alone say.
    """
    hydra_config = cfg.hydra if "hydra" in cfg else HydraConfig.get()
    check("name", hydra_config.sweeper.study_name)
    choices = _Choices.read(hydra_config)
    check_not_shadowed(Path.cwd(), choices.options)
    check_all(_read_settings(cfg), _load_defaults(choices))


@dataclass(frozen=True)
class _Choices:
    """The parts that a config was composed of: its ``options`` of groups (pairs of the two), and
    the overrides that say where they are ``found_by``.
    """

    config_name: str
    found_by: tuple[str, ...]
    options: tuple[tuple[str, str], ...]

    @classmethod
    def read(cls, hydra_config: Any) -> "_Choices":
        found_by: list[str] = []
        for line in hydra_config.overrides.hydra:
            if line.startswith("hydra.searchpath="):
                found_by.append(line)
        options: list[tuple[str, str]] = []
        for group, option in hydra_config.runtime.choices.items():
            is_setting = group != "sweeps" and not group.startswith("hydra/")
            if option and is_setting:
                options.append((group, option))
        return cls(hydra_config.job.config_name, tuple(found_by), tuple(options))


def check_not_shadowed(folder: Path, options: Sequence[tuple[str, str]]) -> None:
    """Raise :class:`~paretune.errors.ConfigError` for an option of the working
    ``folder`` that Paretune's own takes the place of.
    """
    for group, option in options:
        name = f"{group}/{option}.yaml"
        theirs, ours = folder / "conf" / name, paths.CONF / name
        if not (theirs.is_file() and ours.is_file()):
            continue
        if theirs.read_bytes() != ours.read_bytes():
            raise ConfigError(
                f"config `conf/{name}` is shadowed by Paretune's own config of that "
                "name; rename it"
            )


@cache
def _load_defaults(choices: _Choices) -> dict[str, Any]:
    """The settings with these options of the groups, before a sweep's file or the
    command line changes them.
    """
    defaults = _load(choices.config_name, choices.found_by)
    usual = defaults.hydra.runtime.choices
    lines: list[str] = []
    for group, option in choices.options:
        if usual.get(group) != option:
            plus = "" if group in usual else "+"
            lines.append(f"{plus}{group}={option}")
    if lines:
        defaults = _load(choices.config_name, (*choices.found_by, *lines))
    return _read_settings(defaults)


@cache
def _load(config_name: str, overrides: tuple[str, ...]) -> DictConfig:
    loader = GlobalHydra.instance().config_loader()
    return loader.load_configuration(config_name, list(overrides), run_mode=RunMode.RUN)


def _read_settings(config: DictConfig) -> dict[str, Any]:
    """The config as plain data, without Hydra's own part."""
    settings: Any = OmegaConf.to_container(config)
    settings.pop(SETTINGS_OF_HYDRA, None)
    return dict(settings)


def check_cost(config: Mapping[str, Any]) -> None:
    """Raise :class:`~paretune.errors.ConfigError` for a least number of parameters
    where the front is drawn over another cost.
    """
    least = config["cap"]["min_params"]
    if config["cost"] != "params" and least is not None:
        raise ConfigError(
            f"cap.min_params `{least}` has no effect on a front over "
            f"{config['cost']}; leave it out"
        )


def check_unseen(config: Mapping[str, Any], *, in_sweep: bool) -> None:
    """Raise :class:`~paretune.errors.ConfigError` if an epoch or a trial would be
    chosen by images that it may not see.
    """
    chooser = _find_chooser(config, in_sweep=in_sweep)
    if chooser and _trains_on_validation(config["data"]):
        raise ConfigError(
            f"data.splitting.train_on_val `true` {chooser} would choose by images "
            "that were trained on; set it for a last training alone, with "
            "selection.epoch=last trainer.patience=null"
        )
    if in_sweep:
        _check_sweep_is_blind(config)
    folds = config["selection"].get("folds", 1)
    if config["test"] and folds > 1:
        raise ConfigError(
            f"selection.folds `{folds}` gives as many networks, and test `true` reads the "
            "test set with one; leave one of the two out"
        )


def _trains_on_validation(data: Mapping[str, Any]) -> bool:
    splitting = data.get("splitting")
    return isinstance(splitting, Mapping) and bool(splitting.get("train_on_val"))


def _find_chooser(config: Mapping[str, Any], *, in_sweep: bool) -> str | None:
    """The setting that chooses by the validation images, in words; ``None`` where there
    is none.
    """
    if in_sweep:
        return "in a sweep"
    epoch = config["selection"]["epoch"]
    if epoch != "last":
        return f"with selection.epoch `{epoch}`"
    patience = config["trainer"]["patience"]
    if patience is not None:
        return f"with trainer.patience `{patience}`"
    return None


def _check_sweep_is_blind(config: Mapping[str, Any]) -> None:
    """Raise :class:`~paretune.errors.ConfigError` if a sweep would see the test set."""
    if config["test"]:
        setting = "test `true`"
    elif config["selection"]["split"] != "validation":
        setting = f"selection.split `{config['selection']['split']}`"
    else:
        return
    raise ConfigError(
        f"{setting} would let a sweep see the test set; leave test=false and "
        "selection.split=validation in a sweep"
    )
