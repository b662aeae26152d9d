"""How a network computes: memory format, precision, threads; and choosing them by a few
timed steps.

Besides torch's two memory formats there is ``batch_last``, whose kernels are our own
(:mod:`paretune.batch_last`).

Measured rather than guessed: which is fastest depends on the network's kernels and on
the processor's instructions (bf16 needs AVX512-BF16 or AMX on a CPU).
"""

import ctypes
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from copy import deepcopy
from dataclasses import asdict, dataclass, field, replace
from functools import cache, partial
from itertools import product
from math import inf, prod
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

MEMORY_FORMATS = {
    "contiguous": torch.contiguous_format,
    "channels_last": torch.channels_last,
    "batch_last": torch.contiguous_format,
}
PRECISIONS = ("fp32", "bf16")

log = logging.getLogger(__name__)

# Each execution is timed in so many rounds, for at least so many steps and seconds.
ROUNDS = 2
UNTIMED_STEPS = 1
TIMED_STEPS = 3
TIMED_S = 0.015
# One whose first steps take so much longer than the fastest one's is not timed further.
HOPELESS = 1.5
# Of the usual execution's time: less of a gain may be chance, and usual numbers are
# worth something.
WORTH_IT = 0.95
# Of a worker's time, that timing may take.
TIMING_SHARE = 0.03
# Steps of the usual execution that timing another one may well take.
STEPS_A_CHOICE = 10

# Parameters of glibc's mallopt(3).
M_TRIM_THRESHOLD = -1
M_MMAP_THRESHOLD = -3
LARGEST_MMAP_THRESHOLD_BYTES = 32 * 2**20
KEPT_BYTES = 512 * 2**20


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
                "format batch_last, which computes in fp32; set "
                "trainer.precision=fp32 or another trainer.memory_format"
            )

    @staticmethod
    def is_possible(values: Mapping[str, Any]) -> bool:
        """Whether these fields go together: batch_last computes in fp32."""
        if values["memory_format"] != "batch_last":
            return True
        return bool(values["precision"] == "fp32")

    def __str__(self) -> str:
        text = f"{self.memory_format}/{self.precision}"
        if self.threads:
            text += f"/{self.threads} threads"
        return text

    def convert_network(self, net: nn.Module, device: torch.device) -> nn.Module:
        """``net`` on ``device`` with its weights in the memory format."""
        memory_format = MEMORY_FORMATS[self.memory_format]
        return net.to(device=device, memory_format=memory_format)  # type: ignore[call-overload, no-any-return]

    def make_forward(
        self, net: nn.Module, image_shape: Sequence[int]
    ) -> Callable[[Tensor], Tensor]:
        """The function from images ``(B, *image_shape)`` to logits: ``net`` itself, or
        its batch-last program.

        Raises :class:`~paretune.errors.ConfigError` if there is none.
        """
        if self.memory_format != "batch_last":
            return net
        try:
            return _make_batch_last(net, image_shape)
        except UnknownLayerError as error:
            raise ConfigError(
                "trainer.memory_format `batch_last` cannot run this network "
                f"({error}); set trainer.memory_format=channels_last"
            ) from error

    def convert_images(self, images: Tensor) -> Tensor:
        """``images`` in the memory format."""
        return images.contiguous(memory_format=MEMORY_FORMATS[self.memory_format])

    def autocast(self, device: torch.device) -> AbstractContextManager[object]:
        """The context of the forward pass."""
        if self.precision == "bf16":
            return torch.autocast(device.type, torch.bfloat16)
        return nullcontext()

    def set_threads(self) -> None:
        """Give torch the threads, if a number is set."""
        if self.threads:
            # Remembered before it changes.
            count_threads_at_start()
            torch.set_num_threads(self.threads)


@dataclass(frozen=True, slots=True)
class TimingBudget:
    """How much the choice of an execution may take: it is to be won back.

    A training has ``n_steps``, and a worker runs about ``n_alike`` of its kind, for
    ``timeout_s`` at most.
    """

    n_steps: float = inf
    n_alike: float = 1.0
    timeout_s: float | None = None

    @property
    def allowed_steps(self) -> float:
        """Steps of the usual execution: no more than a training has, and a small share
        of all that the worker does.
        """
        return min(self.n_steps, TIMING_SHARE * self.n_steps * self.n_alike)

    def allows(self, n_choices: int) -> bool:
        """Whether so many executions may be timed at all."""
        return self.allowed_steps >= STEPS_A_CHOICE * n_choices

    def limit_s(self, step_s: float) -> float:
        """Seconds, if a step of the usual execution takes ``step_s``."""
        limit_s = self.allowed_steps * step_s
        if self.timeout_s is not None:
            limit_s = min(limit_s, TIMING_SHARE * self.timeout_s)
        return limit_s


UNBOUNDED = TimingBudget()


@cache
def count_threads_at_start() -> int:
    """Threads that torch started with in this process."""
    return torch.get_num_threads()


@contextmanager
def with_threads(count: int) -> Iterator[None]:
    """So many threads of torch, and afterwards those of before."""
    # Remembered before it changes.
    count_threads_at_start()
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


# Cached, so that it is asked once a process.
@cache
def keep_freed_memory() -> bool:
    """Have glibc keep up to 512 MB of freed memory; returns whether it could be asked.

    By default it unmaps each freed activation of a few megabytes, and the kernel hands
    out zeroed pages for it again in the next step: a fifth to a half of the time of a
    small convolutional network.
    """
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        # Another system, or another libc such as musl.
        return False
    if not mallopt(M_MMAP_THRESHOLD, LARGEST_MMAP_THRESHOLD_BYTES):
        return False
    return bool(mallopt(M_TRIM_THRESHOLD, KEPT_BYTES))


def _make_batch_last(
    net: nn.Module, image_shape: Sequence[int]
) -> Callable[[Tensor], Tensor]:
    """``net`` by the kernels. Raises :class:`~paretune.batch_last.UnknownLayerError`
    like :class:`BatchLast`.
    """
    if isinstance(net, Views):
        return partial(net.mean_by, _make_batch_last(net.net, image_shape))
    return BatchLast(net, image_shape)


def find_formats(
    net: nn.Module, image_shape: Sequence[int], device: torch.device
) -> list[str]:
    """The memory formats that ``net`` can be trained in."""
    formats = list(MEMORY_FORMATS)
    if not _has_batch_last(net, image_shape, device):
        formats.remove("batch_last")
    return formats


def _has_batch_last(
    net: nn.Module, image_shape: Sequence[int], device: torch.device
) -> bool:
    if device.type != "cpu":
        return False
    try:
        _make_batch_last(net, image_shape)
    except UnknownLayerError as error:
        log.debug("batch_last is not offered: %s", error)
        return False
    return True


def autotune(
    net: nn.Module,
    images: Tensor,
    labels: Tensor,
    usual: Execution,
    choices: Mapping[str, Sequence[Any]],
    budget: TimingBudget = UNBOUNDED,
) -> tuple[Execution, dict[Execution, float]]:
    """The fastest execution of training ``net`` on batches like ``images`` ``(B, C, H,
    W)``, and all seconds a step.

    ``choices`` maps fields of :class:`Execution` to the values to try, the others stay
    as in the ``usual`` one. Memory format and precision are tried together, then the
    number of threads. What the ``budget`` has no time for is not tried. Works on copies
    of ``net`` on the device of ``images`` and leaves torch's random state alone.
    """
    keep_freed_memory()
    best = usual
    seconds: dict[Execution, float] = {}
    with torch.random.fork_rng(devices=[images.device] if images.is_cuda else []):
        timing = _Timing(net, images, labels, budget, seconds)
        for stage in _plan_stages(choices):
            candidates = _list_candidates(best, stage)
            timing.measure(candidates)
            tried = [candidate for candidate in candidates if candidate in seconds]
            fastest = min(tried, key=seconds.__getitem__)
            first = candidates[0]
            is_worth_it = seconds[fastest] < WORTH_IT * seconds[first]
            best = fastest if is_worth_it else first
    return best, seconds


def count_choices(choices: Mapping[str, Sequence[Any]]) -> int:
    """How many executions :func:`autotune` times at most, besides the usual one."""
    # In each stage one is known already.
    return sum(prod(map(len, stage.values())) - 1 for stage in _plan_stages(choices))


def _plan_stages(
    choices: Mapping[str, Sequence[Any]],
) -> list[dict[str, Sequence[Any]]]:
    """Fields to choose together, one group after the other."""
    if "threads" not in choices:
        return [dict(choices)]
    threads = choices["threads"]
    return [{**choices, "threads": [max(threads)]}, {"threads": threads}]


def _list_candidates(
    best: Execution, choices: Mapping[str, Sequence[Any]]
) -> list[Execution]:
    """``best`` with every combination of the choices that is possible; first the one
    that changes least of it.
    """
    if "threads" in choices:
        best = replace(best, threads=max(choices["threads"]))
    candidates = [best]
    for values in product(*choices.values()):
        settings = asdict(best) | dict(zip(choices, values, strict=True))
        if Execution.is_possible(settings) and settings != asdict(best):
            candidates.append(Execution(**settings))
    return candidates


@dataclass(frozen=True)
class _Timing:
    """Times steps of executions, as long as the budget lasts, into ``seconds``: the
    least of each.
    """

    net: nn.Module
    images: Tensor
    labels: Tensor
    budget: TimingBudget
    seconds: dict[Execution, float]
    started_s: float = field(default_factory=perf_counter)

    def measure(self, executions: Sequence[Execution]) -> None:
        """Time them, the first one in any case; the rounds interleave them, so that a
        busy moment hits them all.
        """
        steps: dict[Execution, Callable[[], None]] = {}
        for execution in executions:
            if self._is_over():
                return
            steps[execution] = self._begin(execution)
        for _ in range(ROUNDS):
            for execution, step in steps.items():
                if self._is_over():
                    return
                if not self._is_hopeless(execution):
                    self._time(execution, step, TIMED_STEPS, TIMED_S)

    def _begin(self, execution: Execution) -> Callable[[], None]:
        """Time one step."""
        net = deepcopy(self.net)
        step = _make_training_step(net, self.images, self.labels, execution)
        self._time(execution, step, least_steps=1, least_s=0)
        return step

    def _time(
        self,
        execution: Execution,
        step: Callable[[], None],
        least_steps: int,
        least_s: float,
    ) -> None:
        execution.set_threads()
        step_s = _time(step, self.images.device, least_steps, least_s)
        self.seconds[execution] = min(self.seconds.get(execution, inf), step_s)

    def _is_over(self) -> bool:
        if not self.seconds:
            return False
        usual_s = next(iter(self.seconds.values()))
        return perf_counter() - self.started_s > self.budget.limit_s(usual_s)

    def _is_hopeless(self, execution: Execution) -> bool:
        return self.seconds[execution] > HOPELESS * min(self.seconds.values())


def _make_training_step(
    net: nn.Module, images: Tensor, labels: Tensor, execution: Execution
) -> Callable[[], None]:
    net = execution.convert_network(net, images.device).train()
    forward = execution.make_forward(net, images.shape[1:])
    optimizer = torch.optim.SGD(net.parameters(), lr=0.0)

    def step() -> None:
        with execution.autocast(images.device):
            logits = forward(execution.convert_images(images))
        cross_entropy(logits.float(), labels).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()

    return step


def _time(
    step: Callable[[], None], device: torch.device, least_steps: int, least_s: float
) -> float:
    """Seconds a step, over as many steps as fill a moment."""
    synchronize = torch.get_device_module(device).synchronize
    for _ in range(UNTIMED_STEPS):
        step()
    synchronize()
    started_s = perf_counter()
    steps = 0
    while steps < least_steps or perf_counter() - started_s < least_s:
        step()
        steps += 1
    synchronize()
    return (perf_counter() - started_s) / steps
