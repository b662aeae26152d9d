"""A plan of the memory that one inference works in: which values are needed when, and
where each of them lies.

Sizes and places are in numbers, not in bytes.
"""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from math import inf
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class MemoryUse:
    """The memory that an operation needs.

    ``overwrites``: it goes through its first input value by value, so that its output
    may take that input's place. ``scratch`` are numbers that it works in beside its
    values.
    """

    inputs: tuple[Hashable, ...]
    output: Hashable
    size: int
    overwrites: bool
    scratch: int = 0


@dataclass(frozen=True, slots=True)
class Scratch:
    """What the operation that gives ``output`` works in, as a value of a plan."""

    output: Hashable


@dataclass(frozen=True, slots=True)
class Buffer:
    """A place for values that follow each other in it, and the numbers of the first and
    the last operation that needs it.
    """

    values: tuple[Hashable, ...]
    size: int
    start: int
    end: int

    def meets(self, other: "Buffer") -> bool:
        """Whether both are needed at some time."""
        return self.start <= other.end and other.start <= self.end


def find_buffers(
    operations: Sequence[MemoryUse],
    image: Hashable,
    image_size: int,
    *,
    with_image: bool = True,
) -> list[Buffer]:
    """The places that an inference needs; an operation that overwrites takes the place
    of an input that nobody reads again.

    ``with_image`` has one for the image, too, till its last use; else its memory is the
    caller's.
    """
    last_use = _find_last_uses(operations)
    buffers: dict[Hashable, Buffer] = {}  # by the last value of each
    if with_image:
        buffers[image] = Buffer((image,), image_size, 0, last_use[image])
    for number, operation in enumerate(operations):
        source = buffers.get(operation.inputs[0])
        end = last_use[operation.output]
        is_free = (
            source is not None
            and source.end == number
            and source.size == operation.size
        )
        if operation.overwrites and is_free:
            before = buffers.pop(operation.inputs[0])
            values = (*before.values, operation.output)
            buffers[operation.output] = Buffer(
                values, operation.size, before.start, end
            )
        else:
            buffers[operation.output] = Buffer(
                (operation.output,), operation.size, number, end
            )
        if operation.scratch:
            scratch = Scratch(operation.output)
            buffers[scratch] = Buffer((scratch,), operation.scratch, number, number)
    return list(buffers.values())


def _find_last_uses(operations: Sequence[MemoryUse]) -> dict[Hashable, int]:
    """The number of the last operation that needs each value; the result is read by the
    caller, after all of them.
    """
    last_use: dict[Hashable, int] = {}
    for number, operation in enumerate(operations):
        last_use[operation.output] = number
        for value in operation.inputs:
            last_use[value] = number
    last_use[operations[-1].output] = len(operations)
    return last_use


def measure_in_use(n_operations: int, buffers: Iterable[Buffer]) -> list[int]:
    """How many numbers are needed at each operation: no plan can do with less than the
    largest of these.
    """
    in_use = [0] * n_operations
    for buffer in buffers:
        for number in range(buffer.start, min(buffer.end + 1, n_operations)):
            in_use[number] += buffer.size
    return in_use


def measure_needs(n_operations: int, buffers: Sequence[Buffer]) -> list[int]:
    """Numbers of which the largest is the size of the block: what is in use at each
    operation, and the plan's own size where that is larger.

    Each is a sum of sizes of maps, so that it is a polynomial of the widths; the
    largest of them is none.
    """
    in_use = measure_in_use(n_operations, buffers)
    if _is_chain(buffers):
        return in_use
    size = plan_memory(buffers).size
    return [*in_use, size] if size > max(in_use) else in_use


def _is_chain(buffers: Sequence[Buffer]) -> bool:
    """Whether each buffer meets only its neighbours in time: by turns from the block's
    two ends, they need no more than is in use.
    """
    in_time = sorted(buffers, key=lambda buffer: buffer.start)
    latest_end = -1  # of those before the last but one
    for earlier, later in zip(in_time, in_time[2:], strict=False):
        latest_end = max(latest_end, earlier.end)
        if later.start <= latest_end:
            return False
    return True


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """``offsets`` of values, and the ``size`` of the block, in numbers."""

    offsets: dict[Hashable, int]
    size: int


def plan_memory(buffers: Sequence[Buffer]) -> MemoryPlan:
    """A place in one block for each of ``buffers``: the smaller of two plans.

    First fit by falling size, as TensorFlow Lite Micro's planner does (David et al.
    2021, https://arxiv.org/abs/2010.08678); and by turns from the block's two ends,
    which for a chain of operations is the least there is.
    """
    peak = _measure_peak(buffers)
    by_size = _place(sorted(buffers, key=lambda buffer: -buffer.size), inf)
    if by_size.size == peak:
        return by_size
    by_turns = _place(sorted(buffers, key=lambda buffer: buffer.start), peak)
    return min(by_size, by_turns, key=lambda plan: plan.size)


def _measure_peak(buffers: Sequence[Buffer]) -> int:
    """The most numbers that are needed at a time."""
    starts = {buffer.start for buffer in buffers}
    return max(_measure_needed(buffers, start) for start in starts)


def _measure_needed(buffers: Sequence[Buffer], number: int) -> int:
    """Numbers that are needed at the operation of this number."""
    needed = 0
    for buffer in buffers:
        if buffer.start <= number <= buffer.end:
            needed += buffer.size
    return needed


class _Placed(NamedTuple):
    """A buffer with its place, from ``offset`` to before ``end``."""

    offset: int
    end: int
    buffer: Buffer


def _place(buffers: Sequence[Buffer], ceiling: float) -> MemoryPlan:
    """Each at the lowest free place; every other one just below the ``ceiling``
    instead, where that is free.
    """
    placed: list[_Placed] = []
    offsets: dict[Hashable, int] = {}
    for number, buffer in enumerate(buffers):
        gaps = _find_gaps(placed, buffer)
        offset = _find_lowest(gaps, buffer.size)
        if number % 2 and ceiling < inf:
            highest = _find_highest(gaps, buffer.size, ceiling)
            offset = offset if highest is None else highest
        placed.append(_Placed(offset, offset + buffer.size, buffer))
        offsets.update(dict.fromkeys(buffer.values, offset))
    return MemoryPlan(offsets, max(place.end for place in placed))


def _find_gaps(placed: Iterable[_Placed], buffer: Buffer) -> list[tuple[int, float]]:
    """First and last place of each stretch that is free whenever ``buffer`` is needed,
    the lowest first.
    """
    taken = sorted(
        (place.offset, place.end) for place in placed if place.buffer.meets(buffer)
    )
    gaps: list[tuple[int, float]] = []
    start = 0
    for offset, end in taken:
        gaps.append((start, offset))
        start = max(start, end)
    gaps.append((start, inf))
    return gaps


def _find_lowest(gaps: Iterable[tuple[int, float]], size: int) -> int:
    return next(start for start, end in gaps if end - start >= size)


def _find_highest(
    gaps: Iterable[tuple[int, float]], size: int, ceiling: float
) -> int | None:
    highest: int | None = None
    for start, end in gaps:
        offset = min(end, ceiling) - size
        if offset >= start:
            highest = int(offset)
    return highest
