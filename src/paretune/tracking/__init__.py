"""The MLflow store: a sweep is a parent run, a trial its child. MLflow lives here, and
only here.
"""

import os

# MLflow reports usage to its makers unless told not to; a sweep on a closed network
# would wait for it.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
# Weights are a few kilobytes.
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
# While a server is away, runs wait on disk (see steps.py): a call need not hold up a
# training for minutes.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "1")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")

from paretune.tracking.read import (
    count_confirmations_of,
    count_retrainings,
    read_answers,
    read_confirmations,
    read_confirmations_of,
    read_curve,
    read_points,
    read_retrainings,
    read_run,
    read_trials,
    select_way,
    weights_of,
)
from paretune.tracking.run import RunRecorder
from paretune.tracking.runs import find_sweeps
from paretune.tracking.store import Store
from paretune.tracking.sweep import SweepRecorder

__all__ = [
    "RunRecorder",
    "Store",
    "SweepRecorder",
    "count_confirmations_of",
    "count_retrainings",
    "find_sweeps",
    "read_answers",
    "read_confirmations",
    "read_confirmations_of",
    "read_curve",
    "read_points",
    "read_retrainings",
    "read_run",
    "read_trials",
    "select_way",
    "weights_of",
]
