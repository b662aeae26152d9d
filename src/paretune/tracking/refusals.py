"""Whether a store that did not take a step is away, or refuses it for good."""

import errno

from paretune.errors import StoreError
from paretune.retry import FaultError, is_busy
from paretune.tracking.store import Store

# Of the answers that blame the request, those that time mends.
TRY_AGAIN = (408, 425, 429)
NOT_ALLOWED = (401, 403)  # those that other credentials mend
NO_ANSWER = 500
LOCAL_FILE_ERRORS = (
    errno.ENOENT,
    errno.EISDIR,
    errno.ENOTDIR,
    errno.EACCES,
    errno.EPERM,
)


def is_outage(store: Store, error: StoreError) -> bool:
    """Whether the store is busy or away, and the same step may be sent again later."""
    if isinstance(error, FaultError):
        return False
    return is_busy(error) or (store.file is None and not _is_refusal(error))


def is_forbidden(error: StoreError) -> bool:
    """Whether other credentials, or other rights to the files, would mend it."""
    is_local = isinstance(error.__cause__, PermissionError)
    return is_local or _http_status(error) in NOT_ALLOWED


def _is_refusal(error: StoreError) -> bool:
    """Whether the server understood and refuses, or the step's files are gone, rather
    than the server.
    """
    cause = error.__cause__
    if isinstance(cause, OSError) and cause.errno in LOCAL_FILE_ERRORS:
        return True
    status = _http_status(error)
    return 400 <= status < 500 and status not in TRY_AGAIN


def _http_status(error: StoreError) -> int:
    """The HTTP status that the store answered with; 500 if it did not answer."""
    from mlflow.exceptions import MlflowException
    from requests import HTTPError

    cause = error.__cause__
    if isinstance(cause, MlflowException):
        return int(cause.get_http_status_code())  # type: ignore[no-untyped-call]
    # Of an artifact, which goes its own way.
    if isinstance(cause, HTTPError) and cause.response is not None:
        return int(cause.response.status_code)
    return NO_ANSWER
