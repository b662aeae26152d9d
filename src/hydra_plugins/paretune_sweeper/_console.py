"""What a person sees of a running sweep: one live line in a terminal, a line for each finished trial elsewhere."""

import logging
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from optuna.study import Study
from rich.console import Console
from rich.live import Live
from rich.text import Text

from paretune.search.progress import Clock, shown, status_line
from paretune.search.study import finished

__all__ = ["narrated", "resume_command"]

log = logging.getLogger(__name__)


class Tell(Protocol):
    """Called often, or with the number of a trial that this process has told of."""

    def __call__(self, own: int | None = None) -> None: ...


@contextmanager
def narrated(study: Study, n_trials: int, live: bool) -> Iterator[Tell]:
    """A function to call often: it logs each newly finished trial once, and how far the sweep is.

    The number given to it is of a trial that this process ran, and has told of. With ``live``, in a terminal, how far the
    sweep is stands in a line that stays at the bottom.
    """
    told = {trial.number for trial in finished(study)}
    clock = Clock(len(told))

    def line() -> str:
        return status_line(study, n_trials, clock)

    def news(own: int | None = None) -> bool:
        fresh = [trial for trial in finished(study) if trial.number not in told]
        told.update(trial.number for trial in fresh)
        for trial in (trial for trial in fresh if trial.number != own):
            said = shown(trial.values or ()) or trial.user_attrs.get("reason", "").split("\n")[0][:300]
            log.info("trial %d: %s %s", trial.number, trial.state.name.lower(), said)
        return bool(fresh)

    if live and sys.stdout.isatty():
        with _bottom_line() as show:

            def tell(own: int | None = None) -> None:
                news(own)
                show(line())

            yield tell
    else:
        yield lambda own=None: log.info(line()) if news(own) else None


@contextmanager
def _bottom_line() -> Iterator[Callable[[str], None]]:
    with Live(Text(""), console=Console(), refresh_per_second=2) as live:
        handlers = [h for h in logging.getLogger().handlers if type(h) is logging.StreamHandler]
        before = [handler.setStream(sys.stdout) for handler in handlers]  # Live prints above itself what goes there
        try:
            yield lambda line: live.update(Text(line, no_wrap=True, overflow="ellipsis"))
        finally:
            for handler, stream in zip(handlers, before, strict=True):
                if stream is not None:
                    handler.setStream(stream)


def resume_command() -> str:
    """The command that this process was started with."""
    interpreter, *rest = sys.orig_argv
    is_script = bool(rest) and not rest[0].startswith("-") and not rest[0].endswith(".py")
    words = [Path(rest[0]).name, *rest[1:]] if is_script else [Path(interpreter).name, *rest]
    return shlex.join(words)
