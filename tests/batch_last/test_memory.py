"""Where gradients lie."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from paretune.batch_last.memory import place_gradients
from paretune.batch_last.operations import Kind, Operation
from paretune.batch_last.values import Gradient, Value

START = 1000
SIZES = st.lists(st.integers(1, 50), min_size=2, max_size=12)


def make_chain(sizes: list[int]) -> list[Operation]:
    """One operation after the other; the gradient of each value is needed by two of
    them.
    """
    values = [Value((1, 1, 1), at=0, gradient=Gradient(size)) for size in sizes]
    return [Operation(Kind.ACTIVATION, x, y) for x, y in pairwise(values)]


@given(SIZES)
def test_gradients_of_one_operation_do_not_overlap(sizes):
    operations = make_chain(sizes)
    end = place_gradients(operations, START)

    for operation in operations:
        first, second = sorted(
            (operation.x.gradient, operation.y.gradient),
            key=lambda gradient: gradient.at,
        )
        assert first.at >= START
        assert first.at + first.floats <= second.at
        assert second.at + second.floats <= end


@given(st.integers(2, 12), st.integers(1, 50))
def test_a_chain_of_equal_gradients_takes_the_room_of_two(values, floats):
    assert place_gradients(make_chain([floats] * values), START) == START + 2 * floats


def test_without_gradients_nothing_is_added():
    operation = Operation(Kind.MEAN, Value((1, 1, 1), at=0), Value((1, 1, 1), at=0))

    assert place_gradients([operation], START) == START
