"""Any text as C takes it: in a comment, as a string, as the prefix of a model's names,
as the numbers of an array.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap

WIDTH = 110  # of lines of numbers
# Bytes that stand for themselves in a string, also where C knows trigraphs.
PLAIN = re.compile(r'[ -~](?<!["\\?])')


@dataclass(frozen=True)
class CArray:
    """A constant array: the type of its numbers, how many there are, and their text."""

    ctype: str
    size: int
    text: str


def c_name(model: Path) -> str:
    """The prefix of a program's names, from the name of the model's file: one that
    begins with a digit has ``model_`` before it.
    """
    name = re.sub(r"\W", "_", model.stem, flags=re.ASCII)
    return f"model_{name}" if name[0].isdigit() else name


def in_comment(text: str) -> str:
    """The text on one line, without what begins or ends a comment, and without
    characters that cannot be seen.
    """
    visible = "".join(map(_make_visible, text))
    for opened in ("*/", "/*"):
        visible = visible.replace(opened, " ".join(opened))
    return re.sub(r"\?(?=\?)", "? ", visible)  # two begin a trigraph


def _make_visible(letter: str) -> str:
    if letter.isprintable():
        return letter
    return f"<U+{ord(letter):04X}>"


def as_string(text: str) -> str:
    """The text as a string of C in UTF-8; every byte that is not plain ASCII is written
    in octal.
    """
    written = map(_write_byte, text.encode("utf-8", "surrogateescape"))
    return '"' + "".join(written) + '"'


def _write_byte(byte: int) -> str:
    letter = chr(byte)
    if PLAIN.fullmatch(letter):
        return letter
    return f"\\{byte:03o}"


def wrap_numbers(numbers: Iterable[str]) -> str:
    """The numbers of an array, with commas, in lines of at most :data:`WIDTH`
    letters.
    """
    lines = wrap(", ".join(numbers), WIDTH, break_on_hyphens=False)
    return "\n  ".join(lines)
