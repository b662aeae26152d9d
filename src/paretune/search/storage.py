"""A study's database that may be away for a while."""

import logging
import time
from collections.abc import Callable
from functools import wraps
from itertools import count
from typing import ParamSpec, TypeVar

from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.storages import RDBStorage
from sqlalchemy.exc import OperationalError

from paretune.errors import first_line

__all__ = ["PatientStorage", "patiently"]

log = logging.getLogger(__name__)

AWAY_S = 300.0  # a restart takes seconds, a failover a minute or two
PAUSES_S = (0.5, 1.0, 2.0, 5.0)

P = ParamSpec("P")
R = TypeVar("R")


def patiently(call: Callable[P, R]) -> Callable[P, R]:
    """``call``, tried again for up to five minutes while the database does not answer."""

    @wraps(call)
    def waiting(*arguments: P.args, **named: P.kwargs) -> R:
        give_up_s = time.monotonic() + AWAY_S
        for attempt in count():
            try:
                return call(*arguments, **named)
            except UpdateFinishedTrialError:
                if not attempt:
                    raise
                return True  # type: ignore[return-value]  # the first try came through, its answer did not
            except (StorageInternalError, OperationalError) as error:
                if time.monotonic() > give_up_s:
                    raise
                if not attempt:
                    log.warning("the study's database is away (%s); waiting for it", first_line(error)[:200])
                time.sleep(PAUSES_S[min(attempt, len(PAUSES_S) - 1)])
        raise AssertionError

    return waiting


class PatientStorage(RDBStorage):
    """Optuna's database storage, whose every call waits for a database that restarts instead of ending the worker."""


# What Optuna's cache asks of the database behind it.
CALLS = (
    "create_new_study", "delete_study", "get_all_studies", "get_study_directions", "get_study_id_from_name",
    "get_study_name_from_id", "get_study_system_attrs", "get_study_user_attrs", "get_trial",
    "get_trial_id_from_study_id_trial_number", "record_heartbeat", "set_study_system_attr", "set_study_user_attr",
    "set_trial_intermediate_value", "set_trial_state_values", "set_trial_system_attr", "set_trial_user_attr",
    "_create_new_trial", "_get_best_trial_id", "_get_stale_trial_ids", "_get_trials", "_set_trial_param",
)  # fmt: skip

for _name in CALLS:
    setattr(PatientStorage, _name, patiently(getattr(RDBStorage, _name)))
