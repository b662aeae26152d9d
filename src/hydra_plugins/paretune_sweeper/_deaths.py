"""What a worker died of, in a line, and the end of its log."""

import re
from itertools import dropwhile, takewhile
from pathlib import Path

from paretune.errors import first_line

TRACEBACK = "Traceback (most recent call last)"
PLACE = re.compile(r'  File ".*", line \d+')
RULE = re.compile("-{5,}")
LINES_SHOWN = 10


def describe_death(error: BaseException) -> str:
    """A line that says why a worker ended: of a traceback what it raised, of a whole
    log of submitit's the same.
    """
    text = str(error)
    if TRACEBACK not in text:
        return first_line(error)
    _, _, traceback = text.rpartition(TRACEBACK)
    return describe_raised(traceback)


def describe_raised(traceback: str) -> str:
    """What the last error in a ``traceback`` says, with its type, in a line.

    An error may say several lines, which may be indented. The first one is not: it is
    behind the place in the code.
    """
    lines = [*takewhile(_is_no_rule, traceback.rstrip().splitlines())]
    places = [number for number, line in enumerate(lines) if PLACE.match(line)]
    behind = lines[places[-1] + 1 :] if places else lines
    said = [*dropwhile(_is_code, behind)]
    return " ".join(line.strip() for line in said)


def _is_no_rule(line: str) -> bool:
    """Whether a line is none of dashes, behind which submitit says where its logs
    are.
    """
    return not RULE.fullmatch(line.strip())


def _is_code(line: str) -> bool:
    return line.startswith(" ")


def read_last_log(folder: Path, slot: int) -> str:
    """The path of the last log in ``folder`` of the worker in the ``slot``, and its last
    lines; of any worker where their names do not tell. Empty if there is none.
    """
    return _read_latest(folder, f"*-{slot}_*.err") or _read_latest(folder, "*.err")


def _read_latest(folder: Path, pattern: str) -> str:
    logs: list[tuple[float, Path]] = []
    for file in folder.rglob(pattern):
        status = file.stat()
        if status.st_size:
            logs.append((status.st_mtime, file))
    if not logs:
        return ""
    _, latest = max(logs)
    lines = latest.read_text(errors="replace").rstrip().splitlines()
    shown = "\n".join(f"    {line}" for line in lines[-LINES_SHOWN:])
    return f"{latest}:\n{shown}"
