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

    lines = [*overrides]
    if Path("conf").is_dir():
        own = f"hydra.searchpath=[file://.,'file://{os.getcwd()}/conf']"
        lines.insert(0, own)
    schema.register()
    with initialize_config_dir(str(paths.CONF), version_base="1.3"):
        yield compose(name, overrides=lines, return_hydra_config=True)
