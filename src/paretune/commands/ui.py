"""``paretune ui``: the MLflow UI on the store."""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from paretune.commands.mistakes import exit_on_mistake
from paretune.commands.parsing import add_store, make_parser, read_store_uri
from paretune.errors import ConfigError

if TYPE_CHECKING:
    from paretune.tracking import Store

ABOUT = (
    "The MLflow UI on the store, at http://127.0.0.1:5000, with links to the views of "
    "SWEEP, or of the newest one. Further arguments are those of mlflow ui, such as "
    "--port 5001."
)
ADDRESS = ("--host", "127.0.0.1", "--port", "5000")


@dataclass(frozen=True)
class Options:
    """The sweep to open, the store, the folder of its files if it is one of this
    machine, and further arguments of ``mlflow ui``. Without a sweep it is the newest.
    """

    sweep: str | None
    store_uri: str
    artifacts: str | None
    arguments: tuple[str, ...]


def cli(arguments: Sequence[str] | None = None) -> None:
    """Become ``mlflow ui`` on the store, after the links to the views of a sweep; a
    person's mistake is one line and exit code 2.
    """
    options = _read_options(arguments)
    with exit_on_mistake("paretune ui"):
        _check_no_server(options.store_uri)
        print(_list_links(options), flush=True)
        uri = _find_client_uri(options)
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", uri]
    os.execv(sys.executable, [*command, *ADDRESS, *options.arguments])


def _read_options(arguments: Sequence[str] | None) -> Options:
    rest = [*(sys.argv[1:] if arguments is None else arguments)]
    sweep = None
    # Else the value of an option of mlflow ui would be taken for it.
    if rest and not rest[0].startswith("-"):
        sweep = rest.pop(0)
    parser = make_parser("paretune ui", ABOUT)
    parser.usage = "paretune ui [SWEEP] [--store STORE] [--uri URI] ..."
    add_store(parser)
    given, others = parser.parse_known_args(rest)
    artifacts = None
    if not given.uri:
        artifacts = str(Path(given.store) / "artifacts")
    return Options(sweep, read_store_uri(given), artifacts, tuple(others))


def _find_client_uri(options: Options) -> str:
    """The URI for MLflow, whose UI finds the files of a store by where it is now."""
    store = _open_store(options)
    store.follow_move()
    return store.client_uri


def _open_store(options: Options) -> "Store":
    from paretune.tracking import Store

    return Store(options.store_uri, options.artifacts)


def _check_no_server(uri: str) -> None:
    if uri.startswith("http"):
        raise ConfigError(
            f"--uri `{uri}` is a server, which has a UI of its own; open it in a "
            "browser"
        )


def _list_links(options: Options) -> str:
    """Links to the views of the sweep. Raises
    :class:`~paretune.errors.ParetuneError`.
    """
    from paretune.tracking.sweep_views import list_links

    host = _find_option(options, "--host", "-h").replace("0.0.0.0", "127.0.0.1")
    address = f"http://{host}:{_find_option(options, '--port', '-p')}"
    store = _open_store(options)
    links = list_links(store, options.sweep, address)
    if not links:
        return f"The UI is at {address}"
    lines = [f"  {name:<22}{url}" for name, url in links.items()]
    return "\n".join(["Open in a browser:", *lines])


def _find_option(options: Options, name: str, short: str) -> str:
    """The value of an option of mlflow ui: the one that was typed, or the usual one."""
    words = [*ADDRESS, *options.arguments]
    value = ""
    for place, word in enumerate(words):
        if word in (name, short) and place + 1 < len(words):
            value = words[place + 1]
        elif word.startswith(f"{name}="):
            value = word.partition("=")[2]
    return value
