"""``paretune ui``: the MLflow UI on the store."""

import argparse
import os
import sys
from pathlib import Path

from paretune.commands.mistakes import exit_on_mistake
from paretune.commands.parsing import add_store, parser_of, uri_of
from paretune.errors import ConfigError


def cli() -> None:
    """Become ``mlflow ui`` on the store, after its useful filters; a person's mistake
    is one line and exit code 2.
    """
    about = (
        "The MLflow UI on the store, at http://127.0.0.1:5000. Further arguments are "
        "those of mlflow ui, such as --port 5001."
    )
    parser = parser_of("paretune ui", about)
    add_store(parser)
    options, arguments = parser.parse_known_args()
    with exit_on_mistake("paretune ui"):
        print(_filters(uri_of(options)), flush=True)
        uri = _settled(options)
    interpreter = [sys.executable, "-m", "mlflow", "ui"]
    os.execv(
        sys.executable,
        [
            *interpreter,
            "--backend-store-uri",
            uri,
            "--host",
            "127.0.0.1",
            "--port",
            "5000",
            *arguments,
        ],
    )


def _settled(options: argparse.Namespace) -> str:
    """The URI for MLflow, whose UI finds the files of a store by where it is now."""
    from paretune.tracking import Store

    artifacts = None if options.uri else str(Path(options.store) / "artifacts")
    store = Store(uri_of(options), artifacts)
    store.follow_move()
    return store.client_uri


def _filters(uri: str) -> str:
    """What the UI's search box takes, with the name of the newest sweep. Raises
    :class:`~paretune.errors.ParetuneError`.
    """
    from paretune.tracking import Store, find_sweeps

    if uri.startswith("http"):
        raise ConfigError(
            f"--uri `{uri}` is a server; expected a database; open its own UI in a "
            "browser"
        )
    names = [run.data.tags["sweep"] for run in find_sweeps(Store(uri).require())]
    trials = "tags.state = 'complete' and tags.kind = 'trial'"
    return (
        f"The search box takes, for instance:\n"
        "  front members       tags.front = 'true' and tags.sweep = "
        f"'{names[-1] if names else 'NAME'}'\n"
        f"  under N parameters  metrics.n_params < 5000 and {trials}\n"
        f"  above an F1         metrics.val_f1 > 0.99 and {trials}"
    )
