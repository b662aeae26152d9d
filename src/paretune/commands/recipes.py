"""A recipe as it is trained several times: what ``+recipe=NAME`` composes to."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

from paretune.commands.checking import check_recipe_name, check_unseen
from paretune.commands.composing import composed
from paretune.confirmation import DIGEST_LETTERS
from paretune.errors import ConfigError
from paretune.overrides import quote
from paretune.start import TRAINED_BY, read_sections

# What a recipe is the same without: trainings of it differ in their seeds, and a cap
# only refuses models.
NOT_OF_A_RECIPE = ("seed", "cap")


@dataclass(frozen=True)
class Recipe:
    """A recipe by its ``name``, the name of its ``data``, and its ``config``."""

    name: str
    data: str
    config: Mapping[str, Any]

    @classmethod
    def compose(cls, name: str) -> Self:
        """The recipe of this name, of the working folder or of Paretune.

        Raises :class:`~paretune.errors.ConfigError` if there is none, and for one that
        looks at the test set in its training.
        """
        check_recipe_name(name)
        with composed("train", [f"+recipe={quote(name)}"]) as composed_config:
            config = read_sections(composed_config, TRAINED_BY)
            choice = composed_config.hydra.runtime.choices.data
        if config["selection"]["split"] != "validation":
            raise ConfigError(
                f"recipe `{name}` chooses by the test set (selection.split "
                f"`{config['selection']['split']}`), so that its scores there confirm "
                f"nothing; train it as it is: paretune train +recipe={name}"
            )
        check_unseen({**config, "test": False}, in_sweep=False)
        return cls(name, config["data"].get("name") or choice, config)

    @classmethod
    def read(cls, text: str) -> Self:
        """The recipe that :meth:`write` wrote."""
        return cls(**json.loads(text))

    def write(self) -> str:
        """The recipe as a text, for workers, which need no file then."""
        return json.dumps({"name": self.name, "data": self.data, "config": self.config})

    @cached_property
    def digest(self) -> str:
        """Letters that tell this recipe from others, and from itself once its file was
        changed. Where the data lie is no part of it.
        """
        config = {
            name: section
            for name, section in self.config.items()
            if name not in NOT_OF_A_RECIPE
        }
        data = {k: v for k, v in self.config["data"].items() if k != "root"}
        text = json.dumps([self.name, {**config, "data": data}], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:DIGEST_LETTERS]

    @property
    def sees_validation(self) -> bool:
        """Whether it trains on the validation images, too."""
        splitting = self.config["data"].get("splitting")
        return isinstance(splitting, Mapping) and bool(splitting.get("train_on_val"))
