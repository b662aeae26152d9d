"""Any text as C takes it: in a comment, as a string, as the prefix of a model's names."""

import re
from pathlib import Path

PLAIN = re.compile(r'[ -~](?<!["\\?])')  # bytes that stand for themselves in a string, also where C knows trigraphs


def c_name(header: Path) -> str:
    """What the functions of a header file begin with."""
    return re.sub(r"\W|^(?=\d)", "_", header.stem, flags=re.ASCII)


def in_comment(text: str) -> str:
    """The text on one line, without what begins or ends a comment, and without characters that cannot be seen."""
    visible = "".join(letter if letter.isprintable() else f"<U+{ord(letter):04X}>" for letter in text)
    for opened in ("*/", "/*"):
        visible = visible.replace(opened, " ".join(opened))
    return re.sub(r"\?(?=\?)", "? ", visible)  # two begin a trigraph


def as_string(text: str) -> str:
    """The text as a string of C in UTF-8; every byte that is not plain ASCII is written in octal."""
    letters = [chr(byte) for byte in text.encode("utf-8", "surrogateescape")]
    return '"' + "".join(letter if PLAIN.fullmatch(letter) else f"\\{ord(letter):03o}" for letter in letters) + '"'
