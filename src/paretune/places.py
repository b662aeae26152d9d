"""Where Paretune's own files are, and where its state goes."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["CONF", "data_now", "store", "tracking_uri"]

_INSTALLED, _CHECKOUT = Path(__file__).parent / "conf", Path(__file__).parents[2] / "conf"
CONF = _INSTALLED if _INSTALLED.is_dir() else _CHECKOUT


def store() -> Path:
    """The folder for all state of this machine: ``PARETUNE_STORE``, else ``mlruns`` in the working folder."""
    return Path(os.environ.get("PARETUNE_STORE", "mlruns")).resolve()


def tracking_uri(folder: Path | str) -> str:
    """The tracking URI of the MLflow database in such a folder."""
    return f"sqlite:///{folder}/mlflow.db"


def data_now(data: Mapping[str, Any]) -> dict[str, Any]:
    """The ``data`` section of a run's config, with its files where ``PARETUNE_DATA`` says now."""
    here = {"root": os.environ["PARETUNE_DATA"]} if "root" in data and "PARETUNE_DATA" in os.environ else {}
    return {**data, **here}
