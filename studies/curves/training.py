"""One training with its whole curve, on one thread."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, partial
from math import isfinite

import paretune.training.epochs as training_epochs
from paretune import models
from paretune.data import load
from paretune.data.images import ImageData
from paretune.errors import ParetuneError
from paretune.experiment import make_training
from paretune.start import TRAINED_BY, prepare_candidate, read_sections
from paretune.training.fit import choose_start, fit, seed_everything
from paretune.trust import Trust
from studies.curves import EPOCHS
from studies.curves.draws import Draw
from studies.curves.question import Question
from studies.curves.rows import Epoch, Row

LONGEST_REASON = 160  # characters
# What is no fault of the configuration.
OF_THE_MACHINE = (OSError, MemoryError)
Check = Callable[[], None]


@dataclass
class _Clock:
    """Hears of each epoch of one training after another, and says what of the CPU's
    time it took.

    The time since the epoch before is the epoch's but for the share that passed before
    it began, in which the network was built. ``check`` may end the training.
    """

    check: Check
    trainings: list[list[Epoch]] = field(default_factory=list)
    cpu_s: float = field(default_factory=time.process_time)
    wall_s: float = field(default_factory=time.perf_counter)

    def __call__(self, epoch: training_epochs.Epoch) -> None:
        wall_s = time.perf_counter()
        share = min(epoch.seconds / (wall_s - self.wall_s), 1.0)
        self.wall_s = wall_s
        cpu_s = time.process_time()
        taken_s = (cpu_s - self.cpu_s) * share
        self.cpu_s = cpu_s

        if epoch.number == 1:
            self.trainings.append([])
        f1 = epoch.val_f1 if isfinite(epoch.val_f1) else 0.0
        self.trainings[-1].append(Epoch(f1, taken_s))
        self.check()

    def take(self) -> list[list[Epoch]]:
        """The trainings since this was last asked."""
        taken = self.trainings
        self.trainings = []
        return taken


def record(draw: Draw, question: Question, check: Check) -> Row:
    """The row of this draw; a training that diverges, or that cannot be built, too."""
    started_s = time.perf_counter()
    started_cpu_s = time.process_time()
    clock = _Clock(check)
    starts: list[list[Epoch]] = []
    costs: dict[str, int] = {}
    failed = ""
    try:
        costs = question.measure(draw.params)
        _train(draw, question, clock, starts)
    except OF_THE_MACHINE:
        raise
    except (ParetuneError, ArithmeticError, RuntimeError, ValueError) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        failed = reason[:LONGEST_REASON]
    epochs = [epoch for training in clock.take() for epoch in training]
    if not failed and len(epochs) < EPOCHS:
        failed = f"diverged in epoch {len(epochs)}"
    return Row(
        number=draw.number,
        kind=draw.kind,
        parent=draw.parent,
        seed=draw.seed,
        settings=question.write_settings(draw.params),
        costs=costs,
        epochs=epochs,
        starts=starts,
        cpu_s=time.process_time() - started_cpu_s,
        wall_s=time.perf_counter() - started_s,
        failed=failed,
    )


def _train(
    draw: Draw, question: Question, clock: _Clock, starts: list[list[Epoch]]
) -> None:
    """Train as ``paretune train`` does, without a store; the test set is not read."""
    config = read_sections(question.compose(draw.params, draw.seed), TRAINED_BY)
    candidate = prepare_candidate(config, question.data)
    training = make_training(candidate.config, Trust())
    data = load_once(question)
    build = partial(models.build, candidate.config["model"])
    execution = training.choose_execution(build(), data.train)
    execution.set_threads()
    training = choose_start(build, data, training, execution, clock)
    starts.extend(clock.take())
    seed_everything(training.seed)
    fit(build(), data, training, listener=clock, execution=execution)


@cache
def load_once(question: Question) -> ImageData:
    """The images, read once in a process."""
    config = read_sections(
        question.spec.composer.compose(question.space.fixed), ["data"]
    )
    return load(config["data"])
