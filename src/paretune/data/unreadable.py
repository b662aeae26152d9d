"""A file of one's own that cannot be read."""

from paretune.errors import DataError


class UnreadableError(DataError):
    """A file cannot be read; ``reason`` says why, in a few words."""

    reason: str
