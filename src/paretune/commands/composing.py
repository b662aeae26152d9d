"""A config composed as a command would have it, before anything runs by it."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from omegaconf import DictConfig

from paretune import paths, schema


@contextmanager
def composed(name: str, overrides: Sequence[str]) -> Iterator[DictConfig]:
    """The config ``name`` with ``overrides``, and with the options of the working
    folder's ``conf`` beside Paretune's; inside the block Hydra can tell where each part
    comes from.
    """
    from hydra import compose, initialize_config_dir

    schema.register()
    with initialize_config_dir(str(paths.CONF), version_base="1.3"):
        lines = _list_lines(overrides)
        yield compose(name, overrides=lines, return_hydra_config=True)


def compose_again(name: str, overrides: Sequence[str]) -> DictConfig:
    """The same config without Hydra's own part, also where Hydra is at work already."""
    from hydra import compose
    from hydra.core.global_hydra import GlobalHydra

    if GlobalHydra.instance().is_initialized():
        return compose(name, overrides=_list_lines(overrides))
    with composed(name, overrides):
        return compose(name, overrides=_list_lines(overrides))


def _list_lines(overrides: Sequence[str]) -> list[str]:
    """The overrides, after one that lets Hydra find the working folder's options."""
    if not Path("conf").is_dir():
        return [*overrides]
    own = f"hydra.searchpath=[file://.,'file://{os.getcwd()}/conf']"
    return [own, *overrides]
