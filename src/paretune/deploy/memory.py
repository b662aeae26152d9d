"""Where each intermediate value of a network lives in one block of memory."""

from dataclasses import dataclass

from paretune.deploy.graph import Graph

__all__ = ["Plan", "plan"]

IN_PLACE = (
    "relu", "silu", "leaky_relu", "prelu", "affine", "mul", "add", "mul_values", "add_values", "group_norm", "instance_norm",
    "layer_norm",
)  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """``offsets`` of every value of a graph but the image, and the ``size`` of the block, in numbers."""

    offsets: dict[str, int]
    size: int


def plan(graph: Graph) -> Plan:
    """A place for each value while it is needed; an operation value by value writes over what nobody reads after it.

    First fit in the order of the operations, the plain way of TensorFlow Lite Micro's planner (David et al. 2021,
    https://arxiv.org/abs/2010.08678). The image stays with the caller.
    """
    last = graph.last_use()
    live: dict[str, tuple[int, int]] = {}  # value -> (offset, size)
    offsets: dict[str, int] = {}
    top = 0
    for number, op in enumerate(graph.ops):
        source = op.inputs[0]
        if op.kind in IN_PLACE and source in live and last[source] == number:
            offset = live[source][0]
        else:
            offset = _first_fit(op.size, list(live.values()))
        offsets[op.output] = offset
        live[op.output] = (offset, op.size)
        top = max(top, offset + op.size)
        live = {name: place for name, place in live.items() if last.get(name, number) > number}
    return Plan(offsets, top)


def _first_fit(size: int, taken: list[tuple[int, int]]) -> int:
    offset = 0
    for start, length in sorted(taken):
        if offset + size <= start:
            break
        offset = max(offset, start + length)
    return offset
