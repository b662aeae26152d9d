"""How a network computes: memory format, precision, threads; and choosing them by a few
timed steps.

Besides torch's two memory formats there is ``batch_last``, whose kernels are our own
(:mod:`paretune.batch_last`).

Measured rather than guessed: which is fastest depends on the network's kernels and on
the processor's instructions (bf16 needs AVX512-BF16 or AMX on a CPU).
"""

import ctypes
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy
from dataclasses import asdict, dataclass
from functools import cache, partial
from itertools import product
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from paretune.batch_last import UnknownLayerError
from paretune.errors import ConfigError
from paretune.models.views import Views
from paretune.settings import check
from paretune.training.programs import BatchLast

FORMATS = {
    "contiguous": torch.contiguous_format,
    "channels_last": torch.channels_last,
    "batch_last": torch.contiguous_format,
}
PRECISIONS = ("fp32", "bf16")

log = logging.getLogger(__name__)

WARM_STEPS, TIMED_STEPS, TIMED_S, ROUNDS = 1, 3, 0.015, 2
# Of the plain execution's time: less of a gain may be chance, and plain numbers are
# worth something.
WORTH_IT = 0.95

# glibc's mallopt(3) parameters
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
LARGEST_MMAP_THRESHOLD_BYTES, KEPT_BYTES = 32 * 2**20, 512 * 2**20


@dataclass(frozen=True, slots=True)
class Execution:
    """Settings that change how fast a network trains, and its numbers only by
    rounding.
    """

    memory_format: str = "contiguous"
    precision: str = "fp32"
    threads: int | None = None

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            check(f"trainer.{name}", value)
        if not self.is_possible(asdict(self)):
            raise ConfigError(
                f"trainer.precision `{self.precision}` does not go with the memory "
                "format batch_last; expected fp32; "
                f"set trainer.precision=fp32 or another trainer.memory_format"
            )

    @staticmethod
    def is_possible(values: Mapping[str, Any]) -> bool:
        """Whether these fields go together: batch_last computes in fp32."""
        return bool(
            values["memory_format"] != "batch_last" or values["precision"] == "fp32"
        )

    def __str__(self) -> str:
        return f"{self.memory_format}/{self.precision}" + (
            f"/{self.threads} threads" if self.threads else ""
        )

    def network(self, net: nn.Module, device: torch.device) -> nn.Module:
        """``net`` on ``device`` with its weights in the memory format."""
        return net.to(device=device, memory_format=FORMATS[self.memory_format])  # type: ignore[call-overload, no-any-return]

    def forward_of(
        self, net: nn.Module, image_shape: Sequence[int]
    ) -> Callable[[Tensor], Tensor]:
        """What computes logits of images ``(B, *image_shape)``: ``net`` itself, or its
        batch-last program.

        Raises :class:`~paretune.errors.ConfigError` if there is none.
        """
        if self.memory_format != "batch_last":
            return net
        try:
            return _batch_last(net, image_shape)
        except UnknownLayerError as error:
            raise ConfigError(
                "trainer.memory_format `batch_last` cannot run this network "
                f"({error}); expected layers and a machine that it "
                f"knows; set trainer.memory_format=channels_last"
            ) from error

    def images(self, images: Tensor) -> Tensor:
        """``images`` in the memory format."""
        return images.contiguous(memory_format=FORMATS[self.memory_format])

    def autocast(self, device: torch.device) -> AbstractContextManager[object]:
        """The context of the forward pass."""
        return (
            torch.autocast(device.type, torch.bfloat16)
            if self.precision == "bf16"
            else nullcontext()
        )

    def set_threads(self) -> None:
        """Give torch the threads, if a number is set."""
        if self.threads:
            available_threads()  # remembered before it changes
            torch.set_num_threads(self.threads)


@cache
def available_threads() -> int:
    """Threads that torch started with in this process."""
    return torch.get_num_threads()


@cache  # once a process
def keep_freed_memory() -> bool:
    """Have glibc keep up to 512 MB of freed memory; returns whether it could be asked.

    By default it unmaps each freed activation of a few megabytes, and the kernel hands
    out zeroed pages for it again in the next step: a fifth to a half of the time of a
    small convolutional network.
    """
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):  # another system, or another libc such as musl
        return False
    return bool(
        mallopt(M_MMAP_THRESHOLD, LARGEST_MMAP_THRESHOLD_BYTES)
        and mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)
    )


def _batch_last(
    net: nn.Module, image_shape: Sequence[int]
) -> Callable[[Tensor], Tensor]:
    """``net`` by the kernels. Raises :class:`~paretune.batch_last.UnknownLayerError`
    like :class:`BatchLast`.
    """
    if isinstance(net, Views):
        return partial(net.mean_by, _batch_last(net.net, image_shape))
    return BatchLast(net, image_shape)


def formats_for(
    net: nn.Module, image_shape: Sequence[int], device: torch.device
) -> list[str]:
    """The memory formats that ``net`` can be trained in."""
    try:
        if device.type == "cpu":
            _batch_last(net, image_shape)
            return [*FORMATS]
    except UnknownLayerError as error:
        log.debug("batch_last is not offered: %s", error)
    return [name for name in FORMATS if name != "batch_last"]


def autotune(
    net: nn.Module,
    images: Tensor,
    labels: Tensor,
    pinned: Execution,
    choices: Mapping[str, Sequence[Any]],
) -> tuple[Execution, dict[Execution, float]]:
    """The fastest execution of training ``net`` on batches like ``images`` ``(B, C, H,
    W)``, and all seconds a step.

    ``choices`` maps fields of :class:`Execution` to the values to try, the others stay
    as ``pinned``. Memory format and precision are tried together, then the number of
    threads. Works on copies of ``net`` on the device of ``images`` and leaves torch's
    random state alone.
    """
    keep_freed_memory()
    stages = [dict(choices)]
    if "threads" in choices:
        stages = [
            {**choices, "threads": [max(choices["threads"])]},
            {"threads": choices["threads"]},
        ]
    best, seconds = pinned, dict[Execution, float]()
    with torch.random.fork_rng(devices=[images.device] if images.is_cuda else []):
        for stage in stages:
            candidates = [
                asdict(best) | dict(zip(stage, values, strict=True))
                for values in product(*stage.values())
            ]
            tried = [
                Execution(**values)
                for values in candidates
                if Execution.is_possible(values)
            ]
            seconds |= _seconds_a_step(net, images, labels, tried)
            fastest = min(tried, key=seconds.__getitem__)
            best = (
                fastest if seconds[fastest] < WORTH_IT * seconds[tried[0]] else tried[0]
            )
    return best, seconds


def _seconds_a_step(
    net: nn.Module, images: Tensor, labels: Tensor, executions: Sequence[Execution]
) -> dict[Execution, float]:
    """The least seconds a step of each; the rounds interleave them, so that a busy
    moment hits them all.
    """
    steps = [
        (execution, _training_step(deepcopy(net), images, labels, execution))
        for execution in executions
    ]
    seconds = dict.fromkeys(executions, float("inf"))
    for execution, step in steps * ROUNDS:
        execution.set_threads()
        seconds[execution] = min(seconds[execution], _time(step, images.device))
    return seconds


def _training_step(
    net: nn.Module, images: Tensor, labels: Tensor, execution: Execution
) -> Callable[[], None]:
    net = execution.network(net, images.device).train()
    forward = execution.forward_of(net, images.shape[1:])
    optimizer = torch.optim.SGD(net.parameters(), lr=0.0)

    def step() -> None:
        with execution.autocast(images.device):
            logits = forward(execution.images(images))
        cross_entropy(logits.float(), labels).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()

    return step


def _time(step: Callable[[], None], device: torch.device) -> float:
    """Seconds a step, over as many steps as fill a moment."""
    synchronize = torch.get_device_module(device).synchronize
    for _ in range(WARM_STEPS):
        step()
    synchronize()
    started_s, steps = perf_counter(), 0
    while steps < TIMED_STEPS or perf_counter() - started_s < TIMED_S:
        step()
        steps += 1
    synchronize()
    return (perf_counter() - started_s) / steps
