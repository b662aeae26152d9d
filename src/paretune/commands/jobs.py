"""Facts that Hydra tells its jobs."""

from collections.abc import Iterable
from pathlib import Path

from hydra.core.hydra_config import HydraConfig

from paretune.trust import Trust


def read_trust(modules: Iterable[str]) -> Trust:
    """Whose code a stored file may name: that of Paretune, of the folder that the
    command was given in, and of the ``modules``.
    """
    return Trust(tuple(modules), Path(HydraConfig.get().runtime.cwd))
