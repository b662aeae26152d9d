"""Passwords stay out of everything that is written down: configs, logs, messages, pickled workers."""

import re

from paretune.errors import ConfigError

__all__ = ["masked", "refuse_passwords"]

KEPT = (
    re.compile(r"(://[^:/@\s]*:)[^@/\s]+(?=@)"),
    # SQLAlchemy takes a slash for a part of it; a port before a path is none.
    re.compile(r"((?<!http)(?<!https)://[^:/@\s]*:)(?!\d+/)[^@\s]+(?=@)"),
    re.compile(r"([?&](?:password|passwd|sslpassword)=)[^&\s]+"),
)


def masked(text: str) -> str:
    """``text`` with every password inside a URL as ``***``."""
    for password in KEPT:
        text = password.sub(r"\1***", text)
    return text


def refuse_passwords(*texts: str | None) -> None:
    """Raise :class:`~paretune.errors.ConfigError` if a text holds a URL with a password: it would be saved with the config."""
    for text in texts:
        if text and any(password.search(text) for password in KEPT):
            message = (
                f"URL `{masked(text)}` holds a password, which configs and logs would keep; expected none; leave it out and set "
                f"PGPASSWORD or ~/.pgpass for PostgreSQL, MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD for a server"
            )
            raise ConfigError(message)
