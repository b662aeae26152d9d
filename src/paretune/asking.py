"""The options by which commands are told where the runs are and which models are meant."""

import argparse
from typing import TYPE_CHECKING

from paretune import places

if TYPE_CHECKING:
    from paretune.reports.findings import Wanted

__all__ = ["add_store", "add_wanted", "parser_of", "uri_of", "wanted_of", "whole"]


def parser_of(command: str, about: str | None) -> argparse.ArgumentParser:
    """A parser that describes the command by its module's docstring ``about``, without its markup."""
    text = (about or "").replace("``", "")
    return argparse.ArgumentParser(command, description=text, formatter_class=argparse.RawDescriptionHelpFormatter)


def whole(text: str) -> int:
    """A whole number of at least 1, for argparse."""
    if not text.isdigit() or int(text) < 1:
        message = f"`{text}` is none; expected a whole number of at least 1"
        raise argparse.ArgumentTypeError(message)
    return int(text)


def add_store(parser: argparse.ArgumentParser) -> None:
    """``--store`` and ``--uri``."""
    parser.add_argument(
        "--store", default=places.store(), help="folder of mlflow.db (default: PARETUNE_STORE or mlruns)"
    )
    parser.add_argument("--uri", help="any MLflow tracking URI, instead of --store")


def uri_of(options: argparse.Namespace) -> str:
    """The tracking URI they name."""
    return options.uri or places.tracking_uri(options.store)


def add_wanted(parser: argparse.ArgumentParser, *, f1: str = "F1") -> None:
    """``--max-params``, ``--min-f1`` and ``--family``; ``f1`` says which F1 is meant."""
    parser.add_argument("--max-params", type=whole, metavar="N", help="only models of at most N parameters")
    parser.add_argument("--min-f1", type=float, metavar="F", help=f"only models of at least this {f1}, 0 to 1")
    parser.add_argument("--family", action="append", default=[], help="only models of this family (may be repeated)")


def wanted_of(options: argparse.Namespace) -> "Wanted":
    """The models they ask for. Raises :class:`~paretune.errors.ConfigError` for what no model can be."""
    from paretune.reports.findings import Wanted

    confirmed = getattr(options, "confirmed", False)
    return Wanted(options.max_params, options.min_f1, tuple(options.family), confirmed)
