"""About how long a training takes, guessed before it begins and without torch.

It is a sum of what each image and each step take, on one core of an AMD EPYC. The terms
are those of a least-squares fit to 509 recorded trainings (``studies/curves``) on
MNIST, Fashion-MNIST and digits: half of them took between 0.8 and 1.2 times as long as
guessed.
Elsewhere the seconds are others; what takes several times as long here mostly does
there, too.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from paretune import models
from paretune.counting import ModelCounter
from paretune.nested import set_value
from paretune.settings import FULL_MATRIX_WINS

IMAGE_S = 5.5e-6  # of an image, whatever the network
MAC_S = 1.3e-10  # of a multiply-accumulate
BYTE_S = 1.8e-10  # of a byte of RAM that one inference takes
AUGMENTED_S = 2.7e-5  # of an image that is augmented
OPERATION_S = 9.6e-5  # of a step, for each operation of the network
# Of a step of some optimizers, whatever the network, and for each of its parameters.
STEP_S = {"soap": 9e-4}
PARAMETER_S = {"fullmatrix": 4e-7}
BY_SIZE = ("auto", "bysize")  # full_matrix of few parameters, else adamw
# Images that are scored beside each that is trained on, and what that takes of a
# training step's work.
SCORED = 0.2
FORWARD = 1 / 3
UNCHANGED = ("none", "unchanged")

Guess = Callable[[Mapping[str, Any]], float]


@dataclass(frozen=True)
class Work:
    """What decides how long a training takes: the network's ``params``, its ``macs``
    and ``ram_bytes`` for one look at an image, its ``operations`` and its ``views``;
    how many ``epochs`` there are, those of restarts among them; the ``optimizer`` by
    its option or its class.
    """

    params: int
    macs: float
    ram_bytes: float
    operations: int
    views: int
    batch_size: int
    epochs: int
    optimizer: str
    is_augmented: bool

    def guess_image_s(self) -> float:
        """The seconds of the whole training for each image that is trained on."""
        looks = 1 + SCORED * FORWARD * self.views
        once_s = IMAGE_S + MAC_S * self.macs + BYTE_S * self.ram_bytes
        optimizer = self._find_optimizer()
        step_s = OPERATION_S * self.operations
        step_s += STEP_S.get(optimizer, 0.0)
        step_s += PARAMETER_S.get(optimizer, 0.0) * self.params
        image_s = once_s * looks + step_s / self.batch_size
        if self.is_augmented:
            image_s += AUGMENTED_S
        return self.epochs * image_s

    def _find_optimizer(self) -> str:
        """The optimizer that serves a network of so many parameters."""
        optimizer = self.optimizer.replace("_", "").lower()
        if optimizer in BY_SIZE:
            return "fullmatrix" if self.params <= FULL_MATRIX_WINS else "adamw"
        return optimizer


def count_epochs(trainer: Mapping[str, Any]) -> int:
    """The epochs of a training by its plain settings, those of its starts among
    them.
    """
    epochs: int = trainer["max_epochs"]
    restarts = trainer.get("restarts", {})
    starts = restarts.get("starts", 1)
    if starts > 1:
        epochs += starts * restarts["epochs"]
    return epochs


class DurationGuess:
    """Guesses how long a plain config trains, and the same with other values."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.config = config
        self.counter = ModelCounter(config)

    def __call__(self, drawn: Mapping[str, Any]) -> float:
        """The seconds of a training for each of its images, with ``drawn`` values by
        their dotted names. Of config groups the options of ``optimizer`` and
        ``augment`` count.

        Raises :class:`~paretune.errors.ConfigError` for a model that cannot be built.
        """
        return self.read_work(drawn).guess_image_s()

    def read_work(self, drawn: Mapping[str, Any]) -> Work:
        """What decides how long that training takes."""
        settings = {name: value for name, value in drawn.items() if "." in name}
        model = self.counter.draw_model(settings)
        footprint = models.measure(model)
        views = model.get("views", 1)
        trainer = self._draw_trainer(settings)
        return Work(
            params=footprint.costs["params"],
            macs=footprint.costs.get("macs", 0) / views,
            ram_bytes=footprint.costs.get("ram_bytes", 0),
            operations=len(footprint.values.get("ram_bytes", ())),
            views=views,
            batch_size=trainer["batch_size"],
            epochs=count_epochs(trainer),
            optimizer=self._name_option("optimizer", drawn),
            is_augmented=self._name_option("augment", drawn) not in UNCHANGED,
        )

    def _draw_trainer(self, drawn: Mapping[str, Any]) -> Mapping[str, Any]:
        trainer: Mapping[str, Any] = self.config["trainer"]
        for name, value in drawn.items():
            group, *path = name.split(".")
            if group == "trainer":
                trainer = set_value(trainer, path, value)
        return trainer

    def _name_option(self, group: str, drawn: Mapping[str, Any]) -> str:
        """The option of a config group that was drawn, else the name of what its config
        makes.
        """
        if group in drawn:
            return str(drawn[group])
        target: str = self.config[group]["_target_"]
        return target.rpartition(".")[2]
