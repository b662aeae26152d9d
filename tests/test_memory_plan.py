from hypothesis import given
from hypothesis import strategies as st

from paretune.memory import (
    Buffer,
    MemoryUse,
    Scratch,
    find_buffers,
    measure_needs,
    plan_memory,
)


@st.composite
def lifetimes(draw) -> list[Buffer]:
    buffers = []
    for number in range(draw(st.integers(1, 9))):
        start = draw(st.integers(0, 8))
        buffers.append(
            Buffer(
                (f"v{number}",),
                draw(st.integers(1, 50)),
                start,
                start + draw(st.integers(0, 5)),
            )
        )
    return buffers


@given(lifetimes())
def test_no_two_values_that_are_needed_share_memory(buffers):
    plan = plan_memory(buffers)
    for a in buffers:
        for b in buffers:
            (start_a, start_b) = (plan.offsets[buffer.values[0]] for buffer in (a, b))
            assert (
                a is b
                or not a.meets(b)
                or start_a + a.size <= start_b
                or start_b + b.size <= start_a
            )
        assert 0 <= plan.offsets[a.values[0]] <= plan.size - a.size


@given(lifetimes())
def test_the_memory_that_is_counted_is_that_of_the_plan(buffers):
    n_operations = max(buffer.start for buffer in buffers) + 1

    assert max(measure_needs(n_operations, buffers)) == plan_memory(buffers).size


@given(st.lists(st.integers(1, 900), min_size=1, max_size=12))
def test_a_chain_needs_no_more_than_two_neighbours_at_a_time(sizes):
    chain = [
        Buffer((str(number),), size, number, number + 1)
        for number, size in enumerate(sizes)
    ]

    assert plan_memory(chain).size == max(
        a + b for a, b in zip([0, *sizes], [*sizes, 0], strict=True)
    )


def test_what_an_operation_works_in_is_needed_as_long_as_it_runs():
    operations = [
        MemoryUse(("image",), "small", 4, overwrites=False, scratch=3),
        MemoryUse(("small",), "maps", 5, overwrites=False),
    ]
    buffers = find_buffers(operations, "image", 9, with_image=False)

    assert Buffer((Scratch("small"),), 3, 0, 0) in buffers
    assert plan_memory(buffers).size == 4 + 5
