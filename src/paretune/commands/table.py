"""The commands by their names: what each does, and what it takes."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module


@dataclass(frozen=True)
class Command:
    """A line ``about`` a command, and what completion needs to know of it."""

    about: str
    takes_overrides: bool = False  # Hydra's
    takes_sweep: bool = False  # whose name comes first


COMMANDS = {
    "train": Command(
        "one training; with -m a sweep over what the model or the command line names",
        takes_overrides=True,
    ),
    "sweep": Command(
        "the sweep sweeps/NAME.yaml; started again, it goes on",
        takes_overrides=True,
        takes_sweep=True,
    ),
    "auto": Command(
        "from data to confirmed models, in the hours that you give it",
        takes_overrides=True,
    ),
    "worker": Command(
        "join a sweep that was started elsewhere",
        takes_overrides=True,
        takes_sweep=True,
    ),
    "pareto": Command(
        "the front of a sweep, or of any Optuna study: table, files, report.html",
        takes_sweep=True,
    ),
    "confirm": Command(
        "the front or a recipe with other seeds, the test set read once a seed",
        takes_sweep=True,
    ),
    "export": Command(
        "a model of the front as ONNX, safetensors and C header, with its card",
        takes_sweep=True,
    ),
    "predict": Command("the class of pictures or signals, by an exported model"),
    "data": Command(
        "data check: what a data set holds, damages, copies, before a training"
    ),
    "cache": Command("what is kept in your cache folder, its size; --clear empties it"),
    "ui": Command("the MLflow UI on the store, every trial in it"),
}


def run_command(name: str, arguments: Sequence[str]) -> None:
    """Call ``cli`` of the command's module with these ``arguments``; nothing of it is
    imported before.
    """
    import_module(f"paretune.commands.{name}").cli(arguments)
