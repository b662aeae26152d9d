"""The costs of a sweep's models, counted by the thousand and without torch."""

from collections.abc import Mapping, Sequence
from typing import Any

from paretune import models
from paretune.cap import Cap, check_counted
from paretune.data import fit_to_data
from paretune.nested import set_value

Counts = dict[str, int | Sequence[int]]


class ModelCounter:
    """Counts the model of a plain config, and the same with other values: no config is
    composed again for them.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.config = {"model": config["model"], "data": config["data"]}
        self.model = fit_to_data(config["model"], config["data"])
        self.cap = Cap.of(config["cap"])
        self.cost: str = config["cost"]

    def __call__(self, drawn: Mapping[str, Any]) -> Counts:
        """The costs of the model by their names, with ``drawn`` values by their dotted
        names.

        Of RAM it gives what is in use at each operation. Raises
        :class:`~paretune.errors.ConfigError` for a model that cannot be built.
        """
        model = self.draw_model(drawn)
        if self.cost == "params" and set(self.cap.most) <= {"params"}:
            return {"params": models.count(model)}
        footprint = models.measure(model, self.cap.dtype)
        needed = [self.cost, *self.cap.most]
        check_counted(models.family_of(model), footprint.costs, needed)
        return {**footprint.costs, **footprint.values}

    def draw_model(self, drawn: Mapping[str, Any]) -> dict[str, Any]:
        """The model with these values, for the images that the data then have."""
        has_other_images = any(name.startswith("data.") for name in drawn)
        if has_other_images:
            config = _set_values(self.config, drawn)
            return fit_to_data(config["model"], config["data"])
        config = _set_values({**self.config, "model": self.model}, drawn)
        model: dict[str, Any] = config["model"]
        return model


def _set_values(
    config: Mapping[str, Any], values: Mapping[str, Any]
) -> Mapping[str, Any]:
    for name, value in values.items():
        config = set_value(config, name.split("."), value)
    return config
