"""How a network computes: memory format, precision, threads; and choosing them by a few timed steps.

Measured rather than guessed: which is fastest depends on the network's kernels and on the processor's instructions
(bf16 needs AVX512-BF16 or AMX on a CPU).
"""

import ctypes
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cache
from itertools import product
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from paretune.errors import check_choice

log = logging.getLogger(__name__)

FORMATS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
PRECISIONS = ("fp32", "bf16")
WARM_STEPS, TIMED_STEPS, TIMED_S, ROUNDS = 1, 3, 0.015, 2
WORTH_IT = 0.95  # of the plain layout's time: less of a gain may be chance, and plain numbers are worth something


@dataclass(frozen=True, slots=True)
class Execution:
    """Settings that change how fast a network trains, and its numbers only by rounding."""

    memory_format: str = "contiguous"
    precision: str = "fp32"
    threads: int | None = None

    def __post_init__(self) -> None:
        check_choice("trainer.memory_format", self.memory_format, FORMATS)
        check_choice("trainer.precision", self.precision, PRECISIONS)

    def __str__(self) -> str:
        return f"{self.memory_format}/{self.precision}" + (f"/{self.threads} threads" if self.threads else "")

    def network(self, net: nn.Module, device: torch.device) -> nn.Module:
        """``net`` on ``device`` with its weights in the memory format."""
        return net.to(device=device, memory_format=FORMATS[self.memory_format])  # type: ignore[call-overload, no-any-return]

    def images(self, images: Tensor) -> Tensor:
        """``images`` in the memory format."""
        return images.contiguous(memory_format=FORMATS[self.memory_format])

    def autocast(self, device: torch.device) -> AbstractContextManager[object]:
        """The context of the forward pass."""
        return torch.autocast(device.type, torch.bfloat16) if self.precision == "bf16" else nullcontext()

    def set_threads(self) -> None:
        """Give torch the threads, if a number is set."""
        if self.threads:
            torch.set_num_threads(self.threads)


def autotune(
    net: nn.Module, images: Tensor, labels: Tensor, pinned: Execution, choices: Mapping[str, Sequence[Any]]
) -> tuple[Execution, dict[Execution, float]]:
    """The fastest layout found for training ``net`` on batches like ``images`` ``(B, C, H, W)``, and all seconds a step.

    ``choices`` maps fields of :class:`Execution` to the values to try, the others stay as ``pinned``. Memory format and
    precision are tried together, then the number of threads. Works on a copy of ``net`` and leaves torch's random state
    alone.
    """
    together = {name: values for name, values in choices.items() if name != "threads"}
    seconds: dict[Execution, float] = {}
    with torch.random.fork_rng(devices=[images.device] if images.is_cuda else []):
        layouts = [
            replace(pinned, **dict(zip(together, values, strict=True))) for values in product(*together.values())
        ]
        if "threads" in choices:
            layouts = [replace(layout, threads=max(choices["threads"])) for layout in layouts]
        seconds |= _race(net, images, labels, layouts)
        best = _fastest(layouts, seconds)
        if "threads" in choices:
            layouts = [replace(best, threads=threads) for threads in choices["threads"]]
            seconds |= _race(net, images, labels, layouts)
            best = _fastest(layouts, seconds)
    return best, seconds


def _fastest(layouts: Sequence[Execution], seconds: Mapping[Execution, float]) -> Execution:
    """The fastest layout if it is clearly faster than the first, else the first."""
    best = min(layouts, key=seconds.__getitem__)
    return best if seconds[best] < WORTH_IT * seconds[layouts[0]] else layouts[0]


@cache  # before anybody changes it
def available_threads() -> int:
    """Threads that torch starts with in this process."""
    return torch.get_num_threads()


def _race(net: nn.Module, images: Tensor, labels: Tensor, layouts: Sequence[Execution]) -> dict[Execution, float]:
    """Seconds a step of each layout; the rounds interleave them, so that a busy moment hits them all."""
    steps = {layout: _step(deepcopy(net), images, labels, layout) for layout in layouts}
    seconds = dict.fromkeys(layouts, float("inf"))
    for _ in range(ROUNDS):
        for layout, step in steps.items():
            layout.set_threads()
            seconds[layout] = min(seconds[layout], _time(step, images))
    return seconds


def _step(net: nn.Module, images: Tensor, labels: Tensor, layout: Execution) -> Callable[[], None]:
    net = layout.network(net, images.device).train()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.0)

    def step() -> None:
        with layout.autocast(images.device):
            logits = net(layout.images(images))
        cross_entropy(logits.float(), labels).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()

    return step


def _time(step: Callable[[], None], images: Tensor) -> float:
    for _ in range(WARM_STEPS):
        step()
    _wait(images)
    started_s, steps = perf_counter(), 0
    while steps < TIMED_STEPS or perf_counter() - started_s < TIMED_S:
        step()
        steps += 1
    _wait(images)
    return (perf_counter() - started_s) / steps


def _wait(images: Tensor) -> None:
    if images.is_cuda:
        torch.cuda.synchronize(images.device)


# glibc's mallopt(3) parameters
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
LARGEST_MMAP_THRESHOLD = 32 * 2**20
KEPT_BYTES = 512 * 2**20


@cache  # once a process
def keep_freed_memory() -> bool:
    """Have glibc keep up to 512 MB of freed memory; returns whether it could be asked.

    By default it unmaps each freed activation of a few megabytes, and the kernel hands out zeroed pages for it again in
    the next step: a fifth to a half of the time of a small convolutional network.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):  # another libc, such as musl
        return False
    return bool(mallopt(M_MMAP_THRESHOLD, LARGEST_MMAP_THRESHOLD) and mallopt(M_TRIM_THRESHOLD, KEPT_BYTES))
