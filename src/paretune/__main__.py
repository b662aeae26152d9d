"""``paretune``: every command under one name, and the MLflow UI on the store.

Only what a command needs is imported, and not before it is known: the list of commands,
a misspelt one and ``--version`` answer at once.
"""

import argparse
import os
import re
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout, suppress
from importlib import import_module
from io import StringIO
from pathlib import Path

from paretune import __version__, cache, paths
from paretune.cli import (
    add_store,
    check_name,
    counted,
    exit_on_mistake,
    parser_of,
    uri_of,
)
from paretune.console import end_with_the_reader
from paretune.errors import ConfigError
from paretune.secrets import refuse_passwords

COMMANDS = {  # a function of a module of this package, and what it does
    "train": (
        "train:cli",
        "one training; with -m a sweep over what the model or the command line names",
    ),
    "sweep": (
        "train:sweep_cli",
        "the sweep sweeps/NAME.yaml; started again, it goes on",
    ),
    "worker": ("train:worker_cli", "join a sweep that was started elsewhere"),
    "pareto": (
        "pareto:cli",
        "the front of a sweep: table, CSV, JSON, picture, report.html",
    ),
    "confirm": (
        "confirm:cli",
        "the front again with other seeds, the test set read once a seed",
    ),
    "export": (
        "export:cli",
        "a model of the front as ONNX, safetensors and C header, with its card",
    ),
    "predict": ("predict:cli", "the class of pictures, by an exported model"),
    "data": (
        "data_check:cli",
        "data check: what a data set holds, damages, copies, before a training",
    ),
    "cache": (
        "__main__:show_cache",
        "what is kept in your cache folder, its size; --clear empties it",
    ),
    "ui": ("__main__:ui", "the MLflow UI on the store, every trial in it"),
}
TRAINING = ("train", "sweep", "worker")  # these take Hydra's overrides
OF_A_SWEEP = ("sweep", "worker", "pareto", "confirm", "export")  # its name comes first


def main() -> None:
    """Run the command that the first argument names; without one, list them. One that
    does not exist ends with exit code 2.
    """
    with end_with_the_reader():
        _main()


def _main() -> None:
    name, *arguments = sys.argv[1:] or ["--help"]
    if name in COMMANDS:
        sys.argv[1:] = arguments
        _run(name)
    elif name in ("-h", "--help", "help"):
        print(overview())
    elif name == "--version":
        print(f"paretune {__version__}")
    elif name in ("-sc", "--shell-completion"):
        with exit_on_mistake("paretune"):
            _complete(arguments)
    else:
        with exit_on_mistake("paretune"):
            refuse_passwords(name)
            _refuse(name)


def overview() -> str:
    """What ``paretune`` alone prints: a line for each command."""
    commands = "\n".join(f"  {name:<9}{about}" for name, (_, about) in COMMANDS.items())
    return (
        "How small can a network be and still score? Pareto fronts of parameters "
        "against F1.\n\n"
        f"paretune COMMAND ...\n\n{commands}\n\n"
        "paretune COMMAND --help says more; paretune --version; completion: eval "
        '"$(paretune -sc install=bash)"'
    )


def ui() -> None:
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


def show_cache() -> None:
    """Print what is kept of decoded pictures and compiled kernels, or remove it; a
    person's mistake is one line and exit code 2.
    """
    about = (
        "What Paretune keeps for the next time: decoded pictures and compiled "
        "kernels. It is made again where it is missing. "
        f"Over {cache.BOUND} bytes (default: {cache.DEFAULT_BOUND_BYTES:,}) the "
        "longest unused is removed."
    )
    parser = parser_of("paretune cache", about)
    parser.add_argument("--clear", action="store_true", help="remove it")
    options = parser.parse_args()
    # RuntimeError: no home folder.
    with exit_on_mistake("paretune cache", RuntimeError):
        bound_bytes = cache.bound_bytes()
        if options.clear:
            removed = cache.clear()
            print(f"removed {_size(removed)} from {paths.cache()}")
            return
        kept = cache.entries()
        print(
            f"{paths.cache()}: {_size(kept)} of at most {bound_bytes:,} ({cache.BOUND})"
        )
        for kind in dict.fromkeys(cache.KINDS.values()):
            print(
                f"  {kind:<10}{_size([entry for entry in kept if entry.kind == kind])}"
            )


def _size(entries: Sequence[cache.Entry]) -> str:
    """``3 files, 1,234 bytes``."""
    return (
        f"{counted(len(entries), 'file')}, "
        f"{sum(entry.size_bytes for entry in entries):,} bytes"
    )


def _filters(uri: str) -> str:
    """What the UI's search box takes, with the name of the newest sweep. Raises
    :class:`~paretune.errors.ParetuneError`.
    """
    from paretune.tracking import Store

    if uri.startswith("http"):
        raise ConfigError(
            f"--uri `{uri}` is a server; expected a database; open its own UI in a "
            "browser"
        )
    names = [run.data.tags["sweep"] for run in Store(uri).require().sweeps()]
    trials = "tags.state = 'complete' and tags.kind = 'trial'"
    return (
        f"The search box takes, for instance:\n"
        "  front members       tags.front = 'true' and tags.sweep = "
        f"'{names[-1] if names else 'NAME'}'\n"
        f"  under N parameters  metrics.n_params < 5000 and {trials}\n"
        f"  above an F1         metrics.val_f1 > 0.99 and {trials}"
    )


def _run(name: str) -> None:
    module, _, function = COMMANDS[name][0].partition(":")
    getattr(import_module(f"paretune.{module}"), function)()


def _refuse(name: str) -> None:
    if "=" in name or name.startswith("-"):
        raise ConfigError(
            f"argument `{name}` belongs to no command; expected one of "
            f"{', '.join(COMMANDS)} before it; for instance: paretune train {name}"
        )
    check_name("command", name, COMMANDS)


def _complete(arguments: Sequence[str]) -> None:
    """Hydra's shell completion (``install=bash``, ``query=bash``, ...) for ``paretune
    COMMAND``.

    Of the line that is typed, in ``COMP_LINE``, Hydra sees what follows the command.

    Raises :class:`~paretune.errors.ConfigError` for another shell.
    """
    if not any(
        re.fullmatch(r"(install|uninstall|query)=(bash|fish|zsh)", argument)
        for argument in arguments
    ):
        raise ConfigError(
            f"completion `{' '.join(arguments)}` is unknown; expected install, "
            "uninstall or query of bash, fish or zsh; for instance: "
            f"paretune -sc install=bash"
        )
    if any(argument.startswith("query=") for argument in arguments):
        line = re.match(r"\s*\S+\s+(\S+)\s+(.*)", os.environ.get("COMP_LINE", ""))
        if not line:
            return print(*COMMANDS)
        command, rest = line.groups()
        if command not in TRAINING and rest.split(" ")[-1].startswith("-"):
            return print(*_options(command))
        if command in OF_A_SWEEP and not re.search(r"\s", rest):
            run = {folder.name for folder in (paths.store() / "outputs").glob("*")} - {
                "runs"
            }
            return print(*sorted({*paths.sweep_names(), *run}))
        if command not in TRAINING:
            return None
        os.environ["COMP_LINE"] = "paretune " + re.sub(
            r"^([^\s=+~-][^\s=]*)(?=\s)", r"sweeps=\1", rest
        )
    sys.argv[1:] = ["-sc", *arguments]
    return _run("train")


def _options(command: str) -> list[str]:
    """The long options that the command's help lists."""
    sys.argv[1:] = ["--help"]
    with redirect_stdout(StringIO()) as text, suppress(SystemExit):
        if command in COMMANDS:
            _run(command)
    return sorted({*re.findall(r"(?<=\s)--[a-z][\w-]*", text.getvalue())})


if __name__ == "__main__":
    main()
