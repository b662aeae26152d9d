"""Where Paretune's own files are, and where its state goes."""

import os
from pathlib import Path

__all__ = ["CONF", "store"]

_INSTALLED, _CHECKOUT = Path(__file__).parent / "conf", Path(__file__).parents[2] / "conf"
CONF = _INSTALLED if _INSTALLED.is_dir() else _CHECKOUT


def store() -> Path:
    """The folder for all state of this machine: ``PARETUNE_STORE``, else ``mlruns`` in the working folder."""
    return Path(os.environ.get("PARETUNE_STORE", "mlruns")).resolve()
