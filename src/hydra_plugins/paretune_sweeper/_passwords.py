"""A callback of Hydra that refuses passwords in config files: Hydra saves a run's
config before the run can look at it.
"""

import sys
from collections.abc import Iterator
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from paretune.errors import ConfigError
from paretune.secrets import refuse_passwords


class RefusePasswords(Callback):
    """Ends the command with a line and exit code 2 before anything is written, if a
    text of the config holds a password.

    What is taken from the environment (``${oc.env:NAME}``) is saved by its name, and
    looked at where it is used.
    """

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        """Before a single run."""
        _refuse(config)

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Before a sweep."""
        _refuse(config)


def _refuse(config: DictConfig) -> None:
    try:
        refuse_passwords(*_texts(OmegaConf.to_container(config, resolve=False)))
    except (
        ConfigError
    ) as error:  # Hydra makes a warning of every exception in a callback
        print(f"paretune: {error}", file=sys.stderr)
        raise SystemExit(2) from None


def _texts(node: Any) -> Iterator[str]:
    """All texts of a plain config."""
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict):
        for part in node.values():
            yield from _texts(part)
    elif isinstance(node, list):
        for part in node:
            yield from _texts(part)
