"""The settings: dataclasses that are the one place of a field, its type, default,
choices, range and help.

Hydra composes them (:func:`register`), so that a wrong type or an unknown name is
refused when a config is composed. Importing them imports neither torch nor Hydra.
"""

from typing import TYPE_CHECKING, Any

from paretune.costs import COSTS, units
from paretune.schema.field import Rule, Setting, collect_rules, list_settings
from paretune.schema.run import CapSettings, Selection
from paretune.schema.trainer import (
    Averaging,
    DistillationSettings,
    Restarts,
    TrainerSettings,
)

if TYPE_CHECKING:
    from omegaconf import DictConfig

__all__ = [
    "SECTIONS",
    "Averaging",
    "CapSettings",
    "DistillationSettings",
    "Restarts",
    "Rule",
    "Selection",
    "Setting",
    "TrainerSettings",
    "collect_rules",
    "list_settings",
    "register",
]

SECTIONS: dict[str, type] = {
    "trainer": TrainerSettings,
    "selection": Selection,
    "cap": CapSettings,
}


def register() -> None:
    """Let Hydra compose the settings: the option ``default`` of the group ``trainer``,
    and ``schema`` for what has no group.
    """
    from hydra.core.config_store import ConfigStore

    store = ConfigStore.instance()
    store.store(
        group="trainer",
        name="default",
        node=_make_writable(TrainerSettings),
        provider="paretune",
    )
    others: dict[str, Any] = {
        name: _make_writable(schema)
        for name, schema in SECTIONS.items()
        if name != "trainer"
    }
    others["hydra"] = {"sweeper": {"cap": _make_sweeper_cap()}}
    store.store(name="schema", node=others, provider="paretune")


def _make_sweeper_cap() -> dict[str, dict[str, str]]:
    """The options of a sweeper's cap that follow from the costs there are."""
    bounds: dict[str, str] = {}
    for name, cost in COSTS.items():
        bounds[name] = f"${{cap.{cost.bound}}}"
    return {"max": bounds, "units": units()}


def _make_writable(schema: type) -> "DictConfig":
    """A config of a frozen dataclass that overrides may change."""
    from omegaconf import OmegaConf

    config: DictConfig = OmegaConf.structured(schema)
    OmegaConf.set_readonly(config, None)
    for value in config.values():
        if OmegaConf.is_config(value):
            OmegaConf.set_readonly(value, None)
    return config
