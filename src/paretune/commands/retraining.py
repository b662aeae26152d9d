"""Models trained again: which one with which seed, and what is other than it was."""

import re
from collections.abc import Collection, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Self

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig

from paretune import paths, schema
from paretune.confirmation import TRAIN, TRAIN_AND_VAL, Confirmation
from paretune.errors import ConfigError
from paretune.nested import has_value, list_leaves, set_value
from paretune.overrides import quote
from paretune.settings import check
from paretune.start import to_plain

TRAINING_GROUPS = ("optimizer", "scheduler", "augment")  # of how a network is trained
TRAINING_SECTIONS = (*TRAINING_GROUPS, "trainer")

Config = Mapping[str, Any]  # of a run, as plain data


@dataclass(frozen=True)
class Retraining:
    """A model to be trained again with another seed, in the ``way`` of this number,
    from 0. ``model_id`` is the id of a run of a sweep, or the digest of a recipe.

    As text, ``run<id>-seed<n>`` or ``recipe<digest>-seed<n>``, and ``-way<k>`` behind
    it unless that is 0, it is a choice of Hydra's. Studies hold this text.
    """

    model_id: str
    seed: int
    way: int = 0
    is_recipe: bool = False

    @classmethod
    def parse(cls, text: str) -> Self:
        """The training that a text names. Raises
        :class:`~paretune.errors.ConfigError` for any other text.
        """
        found = re.fullmatch(
            r"(?P<kind>run|recipe)(?P<id>\w+)-seed(?P<seed>\d+)(-way(?P<way>\d+))?",
            text,
        )
        if not found:
            raise ConfigError(
                f"training `{text}` cannot be read; paretune confirm writes it, such "
                "as run0a1b2c3d-seed1; start paretune confirm"
            )
        way = int(found["way"] or 0)
        is_recipe = found["kind"] == "recipe"
        return cls(found["id"], int(found["seed"]), way, is_recipe)

    def __str__(self) -> str:
        kind = "recipe" if self.is_recipe else "run"
        text = f"{kind}{self.model_id}-seed{self.seed}"
        if self.way:
            text += f"-way{self.way}"
        return text


@dataclass(frozen=True)
class Changes:
    """Differences from the sweep or the recipe, with which models are trained again.

    ``epochs``: so many; ``None``: as many as there. ``train_on`` all images
    there is nothing to choose the epoch by: the weights of the last one are kept.
    ``teacher`` is the path of a ``weights.pt``. ``settings`` are lines such as
    ``augment=affine``, as ``paretune train`` takes them. With ``int8`` the network in
    whole numbers reads the test set.
    """

    epochs: int | None = None
    train_on: str = TRAIN
    teacher: str | None = None
    settings: tuple[str, ...] = ()
    int8: bool = False

    @classmethod
    def read(cls, config: DictConfig) -> Self:
        """The changes that one of the ways of a job (``conf/retrain.yaml``) holds."""
        return cls(
            epochs=config.epochs,
            train_on=config.train_on,
            teacher=config.teacher,
            settings=tuple(config.settings),
            int8=config.int8,
        )

    def write(self) -> str:
        """These changes as one of the ways in an override line of Hydra."""
        teacher = "null"
        if self.teacher:
            teacher = quote(self.teacher)
        fields = [
            f"epochs:{self.epochs or 'null'}",
            f"train_on:{quote(self.train_on)}",
            f"teacher:{teacher}",
            f"settings:{write_list(self.settings)}",
            f"int8:{str(self.int8).lower()}",
        ]
        return f"{{{','.join(fields)}}}"

    def make_config(self, config: Config, seed: int) -> dict[str, Any]:
        """The ``config`` of a model with these changes, and with another seed.

        How the network is executed is not timed: fp32, unless the config says
        otherwise. Raises :class:`~paretune.errors.ConfigError` for changes that the
        config cannot have.
        """
        changed = change_settings(config, self.settings)
        changed["seed"] = seed
        changed["data"] = paths.data_now(changed["data"])
        changed["trainer"] = {**changed["trainer"], "autotune": False}
        if self.epochs:
            changed["trainer"]["max_epochs"] = self.epochs
        if self.teacher:
            _set_teacher(changed, self.teacher)
        if self.train_on == TRAIN_AND_VAL:
            _train_on_all_images(changed)
        return changed

    def describe(self, config: Config) -> Confirmation:
        """How a training goes whose ``config`` has these changes."""
        return Confirmation.of(config, self.train_on, self.int8, self.settings)


def write_list(texts: Sequence[str]) -> str:
    """Texts as a list in an override line of Hydra."""
    return f"[{','.join(map(quote, texts))}]"


def _set_teacher(config: dict[str, Any], teacher: str) -> None:
    distillation = config["trainer"].get("distillation", {})
    path = str(Path(teacher).resolve())
    config["trainer"]["distillation"] = {**distillation, "teacher": path}


def _train_on_all_images(config: dict[str, Any]) -> None:
    data = config["data"]
    if "splitting" not in data:
        raise ConfigError(
            f"data `{data.get('_target_')}` has no splitting, so that there is no "
            "train+val; use --train-on train"
        )
    data["splitting"] = {**data["splitting"], "train_on_val": True}
    config["trainer"]["patience"] = None
    config["selection"] = {**config["selection"], "epoch": "last"}


def change_settings(config: Config, lines: Collection[str]) -> dict[str, Any]:
    """A copy of the config of a run with other settings of its training: ``lines`` such
    as ``augment=affine``.

    Options of groups come first, whatever the order of the lines. Raises
    :class:`~paretune.errors.ConfigError` for a line that is no such setting.
    """
    overrides = _parse(lines)
    chosen = [
        override for override in overrides if override.key_or_group in TRAINING_GROUPS
    ]
    others = [
        override
        for override in overrides
        if override.key_or_group not in TRAINING_GROUPS
    ]
    options = [f"{o.key_or_group}={o.get_value_string()}" for o in chosen]
    defaults = _compose_sections(tuple(options))

    changed = dict(config)
    for override in chosen:
        changed[override.key_or_group] = defaults[override.key_or_group]
    for override in others:
        _check_known(override, changed, defaults)
        check(override.key_or_group, override.value())
        for name, value in list_leaves({override.key_or_group: override.value()}):
            changed = set_value(changed, name.split("."), value)
    return changed


def _parse(lines: Collection[str]) -> list[Override]:
    for line in lines:
        if "=" not in line:
            raise ConfigError(
                f"--set `{line}` has no value; write SETTING=VALUE, such as "
                "trainer.batch_size=64"
            )
    return OverridesParser.create().parse_overrides(list(lines))


def _check_known(override: Override, config: Config, defaults: Config) -> None:
    """Raise :class:`~paretune.errors.ConfigError` unless the override sets something of
    the training that the ``config`` or the ``defaults`` have.
    """
    section, *path = override.key_or_group.split(".")
    is_known = section in TRAINING_SECTIONS and any(
        has_value(content[section], path) for content in (config, defaults)
    )
    if not path or not is_known:
        raise ConfigError(
            f"--set `{override.input_line}` is no setting of a training; these are "
            f"below {', '.join(TRAINING_SECTIONS)}, such as trainer.batch_size=64 or "
            "augment=affine; correct its name"
        )


@cache
def _compose_sections(options: tuple[str, ...]) -> dict[str, Any]:
    """The settings of a training, with these ``options`` of groups, as ``paretune
    train`` has them by default.
    """
    schema.register()
    initialized: Any = nullcontext()
    if not GlobalHydra.instance().is_initialized():
        initialized = initialize_config_dir(str(paths.CONF), version_base="1.3")
    with initialized:
        config = compose("train", list(options))
    return {section: to_plain(config[section]) for section in TRAINING_SECTIONS}
