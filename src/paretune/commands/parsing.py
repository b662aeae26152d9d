"""Options that several commands have: those of the store, and of the models that are
asked for.
"""

import argparse
import sys
from typing import TYPE_CHECKING, Any, NoReturn

from paretune import paths
from paretune.commands.mistakes import exit_on_mistake
from paretune.costs import COSTS
from paretune.errors import check_choice
from paretune.secrets import refuse_passwords

if TYPE_CHECKING:
    from paretune.reports.query import Query


def format_count(number: int, noun: str, plural: str = "") -> str:
    """``1 seed``, ``2 seeds``, ``10,000 seeds``; of ``class`` the ``plural`` is to be
    given.
    """
    if number == 1:
        return f"1 {noun}"
    return f"{number:,} {plural or noun + 's'}"


def make_parser(command: str, about: str | None) -> argparse.ArgumentParser:
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


def parse_count(text: str) -> int:
    """A whole number of at least 1, for argparse."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(
            f"`{text}` is invalid; expected a whole number of at least 1"
        )
    return int(text)


def parse_run_id(text: str) -> str:
    """The first characters of a run's id, for argparse."""
    if not text.strip():
        raise argparse.ArgumentTypeError(
            f"`{text}` names no run; write the first characters of its id"
        )
    return text


def add_store(parser: argparse.ArgumentParser) -> None:
    """``--store`` and ``--uri``."""
    parser.add_argument(
        "--store",
        default=paths.store(),
        help="folder of mlflow.db (default: PARETUNE_STORE or mlruns)",
    )
    parser.add_argument("--uri", help="any MLflow tracking URI, instead of --store")


def read_store_uri(options: argparse.Namespace) -> str:
    """The tracking URI that the options name."""
    return options.uri or paths.tracking_uri(options.store)


def add_trust(parser: argparse.ArgumentParser) -> None:
    """``--trust``."""
    parser.add_argument(
        "--trust",
        action="append",
        default=[],
        metavar="MODULE",
        help=(
            "a module of yours, such as my_models, whose classes and functions a "
            "stored file may name (may be repeated)"
        ),
    )


def add_query(parser: argparse.ArgumentParser, *, f1: str = "F1") -> None:
    """``--max-params`` and the like, ``--min-f1``, ``--family`` and ``--cost``; ``f1``
    says which F1 is meant.
    """
    for cost in COSTS.values():
        parser.add_argument(
            f"--max-{cost.option}",
            type=parse_count,
            metavar="N",
            help=f"only models of at most N {cost.unit}",
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
        metavar="COST",
        help=(
            f"what the front is drawn over: {', '.join(COSTS)} (default: as the sweep "
            "was run)"
        ),
    )


def read_query(options: argparse.Namespace, *, confirmed: bool = False) -> "Query":
    """The models that the options ask for; with ``confirmed`` those alone that were
    trained again. Raises :class:`~paretune.errors.ConfigError` for an F1 outside of 0
    to 1.
    """
    from paretune.reports.query import Query

    if options.cost is not None:
        check_choice("--cost", options.cost, COSTS)
    most: dict[str, int] = {}
    for name, cost in COSTS.items():
        bound = getattr(options, cost.bound)
        if bound is not None:
            most[name] = bound
    return Query(
        most,
        min_f1=options.min_f1,
        families=tuple(options.family),
        confirmed=confirmed,
        cost=options.cost,
    )
