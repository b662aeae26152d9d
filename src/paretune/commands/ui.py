"""``paretune ui``: the MLflow UI on the store."""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from paretune.commands.mistakes import exit_on_mistake
from paretune.commands.parsing import add_store, make_parser, read_store_uri
from paretune.errors import ConfigError

ABOUT = (
    "The MLflow UI on the store, at http://127.0.0.1:5000. Further arguments are those "
    "of mlflow ui, such as --port 5001."
)


@dataclass(frozen=True)
class Options:
    """The store, the folder of its files if it is one of this machine, and further
    arguments of ``mlflow ui``.
    """

    store_uri: str
    artifacts: str | None
    arguments: tuple[str, ...]


def cli(arguments: Sequence[str] | None = None) -> None:
    """Become ``mlflow ui`` on the store, after its useful filters; a person's mistake
    is one line and exit code 2.
    """
    options = _read_options(arguments)
    with exit_on_mistake("paretune ui"):
        print(_list_filters(options.store_uri), flush=True)
        uri = _find_client_uri(options)
    address = ["--host", "127.0.0.1", "--port", "5000"]
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", uri]
    os.execv(sys.executable, [*command, *address, *options.arguments])


def _read_options(arguments: Sequence[str] | None) -> Options:
    parser = make_parser("paretune ui", ABOUT)
    add_store(parser)
    given, others = parser.parse_known_args(arguments)
    artifacts = None
    if not given.uri:
        artifacts = str(Path(given.store) / "artifacts")
    return Options(read_store_uri(given), artifacts, tuple(others))


def _find_client_uri(options: Options) -> str:
    """The URI for MLflow, whose UI finds the files of a store by where it is now."""
    from paretune.tracking import Store

    store = Store(options.store_uri, options.artifacts)
    store.follow_move()
    return store.client_uri


def _list_filters(uri: str) -> str:
    """Filters for the UI's search box, with the name of the newest sweep. Raises
    :class:`~paretune.errors.ParetuneError`.
    """
    from paretune.tracking import Store, find_sweeps
    from paretune.tracking.schema import N_PARAMS, VAL_F1, RunKind, State, Tag

    if uri.startswith("http"):
        raise ConfigError(
            f"--uri `{uri}` is a server, which has a UI of its own; open it in a "
            "browser"
        )
    names = [
        run.data.tags[Tag.SWEEP] for run in find_sweeps(Store(uri).open_for_reading())
    ]
    newest = names[-1] if names else "NAME"
    trials = (
        f"tags.{Tag.STATE} = '{State.COMPLETE}' and tags.{Tag.KIND} = '{RunKind.TRIAL}'"
    )
    return (
        "The search box takes, for instance:\n"
        f"  front members       tags.{Tag.FRONT} = 'true' and tags.{Tag.SWEEP} = '{newest}'\n"
        f"  under N parameters  metrics.{N_PARAMS} < 5000 and {trials}\n"
        f"  above an F1         metrics.{VAL_F1} > 0.99 and {trials}"
    )
