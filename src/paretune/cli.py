"""What the commands share: options for the store and the models asked for, and mistakes
as one line.
"""

import argparse
import logging
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

from paretune import paths
from paretune.errors import ConfigError, ParetuneError, first_line
from paretune.paths import printable
from paretune.retry import fault_of
from paretune.secrets import refuse_passwords
from paretune.settings import UNITS, mend, one_line

if TYPE_CHECKING:
    from paretune.reports.query import Query


FILE_ERRORS = (
    FileNotFoundError,
    FileExistsError,
    PermissionError,
    IsADirectoryError,
    NotADirectoryError,
)

log = logging.getLogger(__name__)


def counted(number: int, noun: str) -> str:
    """``1 seed``, ``2 seeds``, ``10,000 seeds``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def parser_of(command: str, about: str | None) -> argparse.ArgumentParser:
    """A parser that describes the command by its module's docstring ``about``, without
    its markup.
    """
    text = (about or "").replace("``", "")
    return _Parser(
        command, description=text, formatter_class=argparse.RawDescriptionHelpFormatter
    )


class _Parser(argparse.ArgumentParser):
    """Says a mistake in one line, without the usage; refuses passwords before any
    message can repeat them.
    """

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """The options, and the arguments that are none."""
        arguments = sys.argv[1:] if args is None else list(args)
        with exit_on_mistake(self.prog):
            refuse_passwords(*arguments)
        return super().parse_known_args(arguments, namespace)

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; {self.prog} --help says more\n")


def whole(text: str) -> int:
    """A whole number of at least 1, for argparse."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(
            f"`{text}` is invalid; expected a whole number of at least 1"
        )
    return int(text)


def run_id(text: str) -> str:
    """The first characters of a run's id, for argparse."""
    if not text.strip():
        raise argparse.ArgumentTypeError(
            f"`{text}` names no run; expected the first characters of its id"
        )
    return text


def check_name(what: str, name: str, names: Collection[str]) -> None:
    """Raise :class:`~paretune.errors.ConfigError`, with the nearest of the ``names``,
    unless the ``name`` of a thing is one of them.
    """
    if name not in names:
        advice = mend(name, names, f"choose a {what} that is there")
        raise ConfigError(
            f"{what} `{name}` is unknown; expected one of {', '.join(names)}; {advice}"
        )


def check_text(arguments: Iterable[str]) -> None:
    """Raise :class:`~paretune.errors.ConfigError` for arguments with bytes that are not
    UTF-8: no config or log could hold them.
    """
    for argument in arguments:
        try:
            argument.encode()
        except UnicodeEncodeError:
            raise ConfigError(
                f"argument `{printable(argument)}` is not UTF-8, and neither configs "
                "nor logs can hold it; expected text; rename the file or "
                f"folder, or make a link to it whose name is text"
            ) from None


def add_store(parser: argparse.ArgumentParser) -> None:
    """``--store`` and ``--uri``."""
    parser.add_argument(
        "--store",
        default=paths.store(),
        help="folder of mlflow.db (default: PARETUNE_STORE or mlruns)",
    )
    parser.add_argument("--uri", help="any MLflow tracking URI, instead of --store")


def uri_of(options: argparse.Namespace) -> str:
    """The tracking URI that the options name."""
    return options.uri or paths.tracking_uri(options.store)


def add_trust(parser: argparse.ArgumentParser) -> None:
    """``--trust``."""
    about = (
        "a module of yours, such as my_models, whose classes and functions a stored "
        "file may name (may be repeated)"
    )
    parser.add_argument(
        "--trust", action="append", default=[], metavar="MODULE", help=about
    )


def add_query(parser: argparse.ArgumentParser, *, f1: str = "F1") -> None:
    """``--max-params`` and the like, ``--min-f1``, ``--family`` and ``--cost``; ``f1``
    says which F1 is meant.
    """
    for cost, unit in UNITS.items():
        name = cost.replace("_", "-")
        parser.add_argument(
            f"--max-{name}",
            type=whole,
            metavar="N",
            help=f"only models of at most N {unit}",
        )
    parser.add_argument(
        "--min-f1",
        type=float,
        metavar="F",
        help=f"only models of at least this {f1}, 0 to 1",
    )
    parser.add_argument(
        "--family",
        action="append",
        default=[],
        help=(
            "only models of this family, or of this file of conf/model (may be "
            "repeated)"
        ),
    )
    parser.add_argument(
        "--cost",
        choices=UNITS,
        help="what the front is drawn over (default: as the sweep was run)",
    )


def query_of(options: argparse.Namespace) -> "Query":
    """The models that the options ask for. Raises :class:`~paretune.errors.ConfigError`
    for an F1 outside of 0 to 1.
    """
    from paretune.reports.query import Query

    confirmed = getattr(options, "confirmed", False)
    most = {f"max_{cost}": getattr(options, f"max_{cost}") for cost in UNITS}
    return Query(
        **most,
        min_f1=options.min_f1,
        families=tuple(options.family),
        confirmed=confirmed,
        cost=options.cost,
    )


@contextmanager
def exit_on_mistake(command: str, *others: type[Exception]) -> Iterator[None]:
    """Print a person's mistake as one line that names the ``command``, and leave with
    exit code 2.

    That is a :class:`ParetuneError`, one of ``others`` (Hydra wraps ours in its own),
    or a file that cannot be read or written.
    """
    mistakes: tuple[type[Exception], ...] = (ParetuneError, *FILE_ERRORS, *others)
    try:
        yield
    except mistakes as error:
        log.debug("the traceback of the mistake", exc_info=True)
        print(
            f"{command}: {_message(error, named=not isinstance(error, others))}",
            file=sys.stderr,
        )
        raise SystemExit(2) from None
    except OSError as error:
        fault = fault_of(error)
        if fault is None:
            raise
        print(
            (
                f"{command}: file `{error.filename}` cannot be used: {fault.wrong}; "
                f"{fault.mend}"
            ),
            file=sys.stderr,
        )
        raise SystemExit(2) from None


def tell_mistakes(command: str, errors: Sequence[BaseException]) -> None:
    """Print each of a person's mistakes as one line that names the ``command``, and
    leave with exit code 2 if there are any.
    """
    for error in errors:
        print(f"{command}: {_message(error, named=True)}", file=sys.stderr)
    if errors:
        raise SystemExit(2)


def _message(error: BaseException, named: bool) -> str:
    """The message for a person; a file's error is ``named`` after the file unless it
    has a message of its own.
    """
    ours = error
    while ours and not isinstance(ours, ParetuneError):
        ours = ours.__cause__  # type: ignore[assignment]
    if ours:
        return str(ours).strip()
    if isinstance(error, FILE_ERRORS) and named:
        return (
            f"file `{error.filename}` cannot be used ({error.strerror}); expected one "
            "that may be read or written; check it"
        )
    if mark := getattr(error, "problem_mark", None):  # of YAML
        problem: Any = getattr(error, "problem", None)
        return (
            f"file `{mark.name}` cannot be read (line {mark.line + 1}, column "
            f"{mark.column + 1}: {problem}); expected YAML; correct it"
        )
    return one_line(
        str(error).strip(), first_line(error.__cause__) if error.__cause__ else ""
    )
