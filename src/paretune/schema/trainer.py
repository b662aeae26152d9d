"""How a network is trained: the settings below ``trainer``."""

from dataclasses import dataclass, field

from paretune.schema.field import (
    check_settings,
    choice,
    free,
    number,
    number_between,
    optional_whole_number,
    whole_number,
)


@dataclass(frozen=True)
class Averaging:
    """Which average of the weights is scored and kept.

    ``ema``: after every optimizer step the average moves to the weights by 1 -
    ``decay`` (Polyak and Juditsky 1992, https://doi.org/10.1137/0330046), after step n
    of the beginning by 9 / (n + 9) if that is more, so that a score after few epochs is
    not that of the first weights. ``swa``: the mean over the epochs from the share
    ``start`` of the training on (Izmailov et al. 2018,
    https://arxiv.org/abs/1803.05407). Running statistics of norms are averaged, too.
    """

    kind: str | None = choice(
        None,
        ("ema", "swa", None),
        "`ema` or `swa`: an average of the weights is scored and kept",
    )
    decay: float = number_between(0.999, "of `ema`, a step", least=0, below=1)
    start: float = number_between(
        0.75, "of `swa`, the share of the epochs that it leaves out", least=0, below=1
    )

    def __post_init__(self) -> None:
        check_settings(self, "trainer.averaging")


@dataclass(frozen=True)
class DistillationSettings:
    """Learning from the probabilities of another network (Hinton, Vinyals and Dean
    2015, https://arxiv.org/abs/1503.02531).
    """

    teacher: str | None = free(
        None,
        (
            "`weights.pt` of a run whose probabilities are learnt from, too; `null`: "
            "labels alone"
        ),
    )
    weight: float = number(0.5, "the teacher's share of the loss", least=0, most=1)
    temperature: float = number_between(
        2.0, "by which logits are divided before they are compared", above=0
    )

    def __post_init__(self) -> None:
        check_settings(self, "trainer.distillation")


@dataclass(frozen=True)
class Restarts:
    """How many networks are drawn: each is trained for the first ``epochs``, and the
    best on validation to its end.

    Of a network with few parameters some first weights end far below others, and are
    behind early. It takes ``starts`` times ``epochs`` more.
    """

    starts: int = whole_number(
        1,
        "networks drawn, of which the best on validation is trained to the end",
        least=1,
    )
    epochs: int = whole_number(3, "epochs after which they are compared", least=1)

    def __post_init__(self) -> None:
        check_settings(self, "trainer.restarts")


@dataclass(frozen=True)
class TrainerSettings:
    """The settings below ``trainer``."""

    max_epochs: int = whole_number(10, "epochs of a training", least=1)
    batch_size: int = whole_number(128, "images of a step", least=1)
    eval_batch_size: int = whole_number(
        500, "images that are scored at a time", least=1
    )
    patience: int | None = optional_whole_number(
        5,
        (
            "epochs without a lower validation loss before the training stops; "
            "`null`: never"
        ),
        least=1,
    )
    min_delta: float = number(0.0, "how much lower counts as lower", least=0)
    scaling: str = choice(
        "standard",
        ("standard", "unit"),
        "pixels get mean 0 and deviation 1 over the training images; `unit`: 0 to 1",
    )
    label_smoothing: float = number(
        0.0, "share of a label that goes to all classes alike", least=0, most=1
    )
    class_weights: str | None = choice(
        None,
        (None, "balanced"),
        (
            "`balanced`: every class counts the same in the training loss, however "
            "many images it has"
        ),
    )
    augment_rampdown_epochs: int = whole_number(
        0, "last epochs over which the augmentation fades out", least=0
    )
    averaging: Averaging = field(default_factory=Averaging)
    distillation: DistillationSettings = field(default_factory=DistillationSettings)
    restarts: Restarts = field(default_factory=Restarts)
    device: str = choice(
        "auto",
        ("auto", "cpu", "cuda"),
        "`auto`: a GPU if torch sees one (CUDA, or MPS of a Mac), else the CPU",
    )
    autotune: bool = free(
        True,
        "a sweep chooses what is `null` below by a few timed steps, once for each "
        "family, where its trainings are long enough to win them back; a single "
        "training times nothing: "
        "`fp32`, `batch_last` where the network and the machine allow it, else "
        "`contiguous`",
    )
    memory_format: str | None = choice(
        None,
        ("contiguous", "channels_last", "batch_last", None),
        (
            "`contiguous`, `channels_last`, or `batch_last`: our own kernels, fp32, "
            "on a CPU with a C++ compiler"
        ),
    )
    precision: str | None = choice(None, ("fp32", "bf16", None), "`fp32` or `bf16`")
    threads: int | None = optional_whole_number(None, "of torch on the CPU", least=1)

    def __post_init__(self) -> None:
        check_settings(self, "trainer")
