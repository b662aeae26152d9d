"""Where gradients lie in a block: behind the values, those that are never needed at the
same time in the same place.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from paretune.batch_last.operations import Operation
from paretune.batch_last.values import Gradient


@dataclass(slots=True)
class Need:
    """A gradient, and the numbers of the first and the last operation that need it."""

    gradient: Gradient
    first: int
    last: int

    @property
    def end(self) -> int:
        """The first float behind the gradient, which has its place by now."""
        gradient = self.gradient
        return gradient.at + gradient.floats

    def is_at_the_time_of(self, other: "Need") -> bool:
        """Whether both are needed at once."""
        has_begun = self.first <= other.last
        has_not_ended = self.last >= other.first
        return has_begun and has_not_ended


def place_gradients(operations: Sequence[Operation], start: int) -> int:
    """Set where each gradient lies, from the float ``start`` of a block on; returns the
    end of them all.

    The largest is placed first, each as far to the front as those before it leave room.
    """
    needs = _find_needs(operations)
    needs.sort(key=lambda need: need.gradient.floats, reverse=True)

    placed: list[Need] = []
    end = start
    for need in needs:
        need.gradient.at = _find_room(need, placed, start)
        placed.append(need)
        end = max(end, need.end)
    return end


def _find_needs(operations: Iterable[Operation]) -> list[Need]:
    """Every gradient, in the order in which the operations make them."""
    needs: dict[Gradient, Need] = {}
    for number, operation in enumerate(operations):
        for value in (operation.x, operation.y):
            gradient = value.gradient
            if gradient is None:
                continue

            if gradient not in needs:
                needs[gradient] = Need(gradient, first=number, last=number)
            needs[gradient].last = number

    return list(needs.values())


def _find_room(need: Need, placed: Iterable[Need], start: int) -> int:
    """The first place from ``start`` on that is free all the time."""
    floats = need.gradient.floats
    at_once = [other for other in placed if other.is_at_the_time_of(need)]
    at_once.sort(key=lambda other: other.gradient.at)

    place = start
    for other in at_once:
        is_in_the_way = place + floats > other.gradient.at
        if is_in_the_way:
            place = max(place, other.end)
    return place
