"""The commands by their names: what each does, and what it takes."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module

from paretune.commands.mistakes import exit_on_mistake
from paretune.extras import check_installed


@dataclass(frozen=True)
class Command:
    """A line ``about`` a command, and what completion needs to know of it. It ``needs``
    these packages of extras.
    """

    about: str
    takes_overrides: bool = False  # Hydra's
    takes_sweep: bool = False  # whose name comes first
    needs: tuple[str, ...] = ()


TRAINING = ("torch", "pytorch_lightning", "mlflow")
EXPORTING = ("onnx", "onnxruntime")
HELP = {"-h", "--help"}


COMMANDS = {
    "train": Command(
        "one training; with -m a sweep over what the model or the command line names",
        takes_overrides=True,
        needs=TRAINING,
    ),
    "sweep": Command(
        "the sweep sweeps/NAME.yaml; started again, it goes on",
        takes_overrides=True,
        takes_sweep=True,
        needs=TRAINING,
    ),
    "auto": Command(
        "from data to confirmed models, in the hours that you give it",
        takes_overrides=True,
        needs=(*TRAINING, *EXPORTING),
    ),
    "worker": Command(
        "join a sweep that was started elsewhere",
        takes_overrides=True,
        takes_sweep=True,
        needs=TRAINING,
    ),
    "pareto": Command(
        "the front of a sweep, or of any Optuna study: table, files, report.html",
        takes_sweep=True,
    ),
    "confirm": Command(
        "the front or a recipe with other seeds, the test set read once a seed",
        takes_sweep=True,
        needs=TRAINING,
    ),
    "export": Command(
        "a model of the front as ONNX, safetensors and C, with its card",
        takes_sweep=True,
        needs=(*TRAINING, *EXPORTING),
    ),
    "predict": Command(
        "the class of pictures or signals, by an exported model",
        needs=("onnxruntime", "PIL"),
    ),
    "data": Command(
        "data check: what a data set holds, damages, copies, before a training",
        needs=("torch", "PIL"),
    ),
    "cache": Command("what is kept in your cache folder, its size; --clear empties it"),
    "ui": Command("the MLflow UI on the store, every trial in it", needs=("mlflow",)),
}


def run_command(name: str, arguments: Sequence[str]) -> None:
    """Call ``cli`` of the command's module with these ``arguments``; nothing of it is
    imported before.

    A person's mistake is one line and exit code 2: without its packages a command only
    prints its help.
    """
    if not HELP & set(arguments):
        with exit_on_mistake("paretune"):
            check_installed(name, COMMANDS[name].needs)
    import_module(f"paretune.commands.{name}").cli(arguments)
