"""What a worker died of, in a line, and the end of its log."""

from itertools import dropwhile
from pathlib import Path

from paretune.errors import first_line

TRACEBACK = "Traceback (most recent call last)"
PLACE = '  File "'
LINES_SHOWN = 10


def describe_death(error: BaseException) -> str:
    """A line that says why a worker ended: of a traceback what it raised, of a whole
    log of submitit's the same.
    """
    text = str(error)
    if TRACEBACK not in text:
        return first_line(error)
    return describe_raised(text)


def describe_raised(traceback: str) -> str:
    """What the last error in a ``traceback`` says, with its type, in a line.

    An error may say several lines, which may be indented. The first one is not: it is
    behind the place in the code.
    """
    lines = traceback.rstrip().splitlines()
    places = [number for number, line in enumerate(lines) if line.startswith(PLACE)]
    behind = lines[places[-1] + 1 :] if places else lines
    said = [*dropwhile(_is_code, behind)]
    return " ".join(line.strip() for line in said)


def _is_code(line: str) -> bool:
    return line.startswith(" ")


def read_last_log(folder: Path) -> str:
    """The path of the log of the worker in ``folder`` that wrote last, and its last
    lines; empty if there is none.
    """
    logs: list[tuple[float, Path]] = []
    for file in folder.rglob("*.err"):
        status = file.stat()
        if status.st_size:
            logs.append((status.st_mtime, file))
    if not logs:
        return ""
    _, latest = max(logs)
    lines = latest.read_text(errors="replace").rstrip().splitlines()
    shown = "\n".join(f"    {line}" for line in lines[-LINES_SHOWN:])
    return f"{latest}:\n{shown}"
