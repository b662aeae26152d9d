"""What the models of a sweep cost, counted by the thousand: a sweep asks this before it
proposes a trial. No torch.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from omegaconf import DictConfig

from paretune import models
from paretune.cap import Cap, check_counted
from paretune.data import fit_to_data
from paretune.errors import ConfigError
from paretune.start import to_plain

Counts = dict[str, int | Sequence[int]]


class ModelCounter:
    """Counts the model of a composed config, and the same with other values: no config
    is composed again for them.
    """

    def __init__(self, cfg: DictConfig) -> None:
        self.config: dict[str, Any] = {
            "model": to_plain(cfg.model),
            "data": to_plain(cfg.data),
        }
        self.fit_to_data = self._fit(self.config)
        self.cap = Cap.of(cfg.cap)
        self.cost: str = cfg.cost

    def __call__(self, drawn: Mapping[str, Any]) -> Counts:
        """What the model costs, by the names of the costs, with ``drawn`` values by
        their dotted names.

        Of RAM it gives what is in use at each operation. Raises
        :class:`~paretune.errors.ConfigError` for a model that cannot be built.
        """
        model = self._draw_model(drawn)
        if self.cost == "params" and set(self.cap.most) <= {"params"}:
            return {"params": models.count(model)}
        footprint = models.measure(model, self.cap.dtype)
        needed = [self.cost, *self.cap.most]
        check_counted(models.family_of(model), footprint.costs, needed)
        return {**footprint.costs, **footprint.values}

    def _draw_model(self, drawn: Mapping[str, Any]) -> dict[str, Any]:
        """The model with these values, for the images that the data then have."""
        has_other_images = any(name.startswith("data.") for name in drawn)
        config = self.config if has_other_images else self.fit_to_data
        for name, value in drawn.items():
            config = set_value(config, name.split("."), value)
        model: dict[str, Any] = (
            self._fit(config)["model"] if has_other_images else config["model"]
        )
        return model

    @staticmethod
    def _fit(config: Mapping[str, Any]) -> dict[str, Any]:
        """The config with the shape and the classes of its data in its model."""
        return {**config, "model": fit_to_data(config["model"], config["data"])}


def set_value(config: Any, path: Sequence[str], value: Any) -> Any:
    """A copy of a plain config with another value at a path; what is not on the path is
    shared with ``config``.

    Raises :class:`~paretune.errors.ConfigError` for an entry that a list does not have.
    """
    if not path:
        return value
    name = path[0]
    if isinstance(config, list):
        return _set_entry(config, name, path[1:], value)
    known = config if isinstance(config, dict) else {}
    return {**known, name: set_value(known.get(name), path[1:], value)}


def _set_entry(
    entries: Sequence[Any], name: str, path: Sequence[str], value: Any
) -> list[Any]:
    if not name.isdigit() or int(name) >= len(entries):
        raise ConfigError(
            f"entry `{name}` is not there; {list(entries)} has {len(entries)} entries, "
            "from 0; correct the search space"
        )
    changed = list(entries)
    changed[int(name)] = set_value(entries[int(name)], path, value)
    return changed
