"""Numbers with their nouns, as a person writes them."""

__all__ = ["counted"]


def counted(number: int, noun: str) -> str:
    """``1 seed``, ``2 seeds``, ``10,000 seeds``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
