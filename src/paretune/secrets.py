"""Passwords inside URLs: they are refused before anything is written, and no message
repeats them.
"""

import re

from paretune.errors import ConfigError

# Up to the last @, as a password may hold one. SQLAlchemy takes slashes, question marks
# and spaces for parts of a password, too. The schemes of Hydra's search path have no
# users, but their folders may have an @ in their names.
_OF_A_USER = re.compile(
    r"(?P<before>(?<![\w+.-])(?!(?:file|pkg|structured)://)[\w+.-]+://[^:/]*:).+(?=@)",
    re.DOTALL | re.IGNORECASE,
)
# `&password=...`, and `;PWD=...` within the URL of an ODBC database, where it is
# escaped.
_AMONG_THE_SETTINGS = re.compile(
    r"(?P<before>(?:[?&;]|%3B)(?:[\w.-]*[_.-])?(?:ssl)?(?:password|passwd|passphrase|pwd|secret|token)(?:=|%3D))[^&]+",
    re.IGNORECASE,
)

_PASSWORDS = (_OF_A_USER, _AMONG_THE_SETTINGS)


def masked(text: str) -> str:
    """``text`` with every password inside a URL as ``***``; of longer texts rather too
    much is hidden than too little.
    """
    for password in _PASSWORDS:
        text = password.sub(r"\g<before>***", text)
    return text


def refuse_passwords(*texts: str | None) -> None:
    """Raise :class:`~paretune.errors.ConfigError` if a text holds a URL with a
    password: it would be saved with the config.
    """
    shown = [
        masked(text)
        for text in texts
        if text and any(password.search(text) for password in _PASSWORDS)
    ]
    if shown:
        urls = ", ".join(f"`{text}`" for text in shown)
        raise ConfigError(
            f"URL {urls} holds a password, which configs, logs and process lists "
            "would keep; leave it out and set PGPASSWORD or "
            "~/.pgpass for PostgreSQL, ?read_default_file=FILE for MySQL, "
            "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD for a server; an @ "
            f"that ends no password is written %40"
        )
