"""The types of errors that a store may raise, also of libraries that are imported
late.
"""

import sqlite3
import sys

LATE_TYPES = (
    ("mlflow.exceptions", "MlflowException"),
    ("sqlalchemy.exc", "SQLAlchemyError"),
)


def list_error_types() -> tuple[type[Exception], ...]:
    """The types of errors that a store may raise; of libraries that nobody has imported,
    none.
    """
    types: list[type[Exception]] = [sqlite3.Error, OSError]
    for module, name in LATE_TYPES:
        if module in sys.modules:
            types.append(getattr(sys.modules[module], name))
    return tuple(types)
