"""The C functions that all others call, over every number that they may be given,
against Python's unbounded ones.
"""

import ctypes
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paretune.deploy.c_kernels import read_kernels

ROUNDING_KERNELS = ("scaled", "clipped", "fine", "sloped", "rounded")
WHOLE = st.integers(-(2**31), 2**31 - 1)
FACTORS, SHIFTS, ZEROS = (
    st.integers(-(2**30), 2**30),
    st.integers(1, 62),
    st.integers(-128, 127),
)
# In 1/2^24.
SLOPES = st.sampled_from([0, 1, 2**24]) | st.integers(-(2**25) + 1, 2**25 - 1)


@pytest.fixture(scope="module")
def kernels(tmp_path_factory):
    """The functions, compiled, without the prefix of a model."""
    folder = tmp_path_factory.mktemp("kernels")
    sources = [
        read_kernels("kernels_int8.c")[name].replace("static inline ", "")
        for name in ROUNDING_KERNELS
    ]
    (folder / "kernels.c").write_text("#include <stdint.h>\n" + "\n".join(sources))
    subprocess.run(
        ["gcc", "-O1", "-shared", "-fPIC", "kernels.c", "-o", "kernels.so"],
        cwd=folder,
        check=True,
    )
    library = ctypes.CDLL(str(folder / "kernels.so"))
    whole, wide, byte = ctypes.c_int32, ctypes.c_int64, ctypes.c_int8
    library.KERNEL_rounded.argtypes, library.KERNEL_rounded.restype = [whole] * 5, byte
    library.KERNEL_fine.argtypes, library.KERNEL_fine.restype = [wide, whole], wide
    library.KERNEL_sloped.argtypes, library.KERNEL_sloped.restype = (
        [wide, whole, whole],
        byte,
    )
    return library


def nearest(number: int, shift: int) -> int:
    """``number`` / 2^``shift``, rounded."""
    return (number + (1 << (shift - 1))) >> shift


def clipped(number: int) -> int:
    return max(-128, min(number, 127))


@given(WHOLE, FACTORS, SHIFTS, ZEROS, SLOPES)
def test_a_sum_of_any_size_is_rounded_and_clipped(
    kernels, total, factor, shift, zero, slope
):
    is_below = (total < 0) != (factor < 0)
    expected = clipped(
        nearest(total * (nearest(factor * slope, 24) if is_below else factor), shift)
        + zero
    )

    assert kernels.KERNEL_rounded(total, factor, shift, zero, slope) == expected


@given(st.integers(-(2**39), 2**39), st.integers(1, 100))
def test_a_product_of_any_size_is_brought_to_parts_of_a_step(kernels, product, shift):
    assert kernels.KERNEL_fine(product, shift) == (product << 16) >> shift


@given(st.integers(-(2**55), 2**55), ZEROS, SLOPES)
def test_parts_of_a_step_are_rounded_and_clipped(kernels, fine, zero, slope):
    expected = clipped(nearest(fine if fine >= 0 else (fine * slope) >> 24, 16) + zero)

    assert kernels.KERNEL_sloped(fine, zero, slope) == expected
