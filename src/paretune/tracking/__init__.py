"""The MLflow store: a sweep is a parent run, a trial its child. MLflow lives here, and only here."""

import os

# MLflow reports usage to its makers unless told not to; a sweep on a closed network would wait for it.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")  # weights are a few kilobytes

from paretune.tracking.read import (
    Confirmation,
    Trial,
    read_confirmations,
    read_curve,
    read_points,
    read_run,
    read_trials,
    sweep_names,
    weights_of,
)
from paretune.tracking.record import RunRecorder
from paretune.tracking.store import Store
from paretune.tracking.sweep import SweepRecorder

__all__ = [
    "Confirmation",
    "RunRecorder",
    "Store",
    "SweepRecorder",
    "Trial",
    "read_confirmations",
    "read_curve",
    "read_points",
    "read_run",
    "read_trials",
    "sweep_names",
    "weights_of",
]
