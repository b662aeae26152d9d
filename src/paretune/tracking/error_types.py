"""The types of what a store may raise, some of which are of libraries that nobody may
have imported.
"""

import sqlite3
import sys

LATE_TYPES = (
    ("mlflow.exceptions", "MlflowException"),
    ("sqlalchemy.exc", "SQLAlchemyError"),
)


def list_error_types() -> tuple[type[Exception], ...]:
    """What a store may raise: of libraries that nobody has imported, nothing."""
    types: list[type[Exception]] = [sqlite3.Error, OSError]
    for module, name in LATE_TYPES:
        if module in sys.modules:
            types.append(getattr(sys.modules[module], name))
    return tuple(types)
