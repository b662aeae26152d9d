"""The MLflow store: a sweep is a parent run, a trial its child. MLflow lives here, and only here."""

import os

# MLflow reports usage to its makers unless told not to; a sweep on a closed network would wait for it.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

from paretune.tracking.read import read_points, sweep_names
from paretune.tracking.record import RunRecorder, SweepRecorder
from paretune.tracking.store import Store

__all__ = ["RunRecorder", "Store", "SweepRecorder", "read_points", "sweep_names"]
