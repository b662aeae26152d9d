"""The constants of a program in whole numbers."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from paretune.deploy.c_text import CArray, wrap_numbers
from paretune.deploy.fixed_point import find_factor
from paretune.deploy.refusals import INT8_C, require_known

CTYPES = {"int8": "int8_t", "int32": "int32_t"}


@dataclass
class Constants:
    """Arrays by their names in C, equal ones once."""

    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)

    @property
    def flash_bytes(self) -> int:
        """Bytes of all constants."""
        return sum(array.nbytes for array in self.arrays.values())

    def add(self, dtype: str, values: ArrayLike) -> str:
        """Keep an array of these whole numbers; returns what calls have for its name.

        Raises :class:`~paretune.errors.ExportError` for numbers that do not fit into
        ``dtype``.
        """
        given = np.asarray(values).reshape(-1)
        largest = np.abs(given).max(initial=0)
        bounds = np.iinfo(dtype)
        is_inside = (
            not given.size or bounds.min <= given.min() <= given.max() <= bounds.max
        )
        require_known(
            bool(is_inside),
            f"a constant up to {largest:g}",
            f"what fits into {dtype}",
            INT8_C,
        )
        array = given.astype(dtype)
        label = self._find(array) or f"k{len(self.arrays)}"
        self.arrays[label] = array
        return f"NAME_{label}"

    def add_factors(self, multipliers: Iterable[float]) -> tuple[str, str]:
        """Keep the factors and the shifts that stand for ``multipliers``; returns the
        names of both arrays.
        """
        pairs = [find_factor(float(multiplier)) for multiplier in multipliers]
        factors = self.add("int32", [pair.factor for pair in pairs])
        shifts = self.add("int8", [pair.shift for pair in pairs])
        return factors, shifts

    def _find(self, array: NDArray[Any]) -> str:
        """The name of an equal array; empty if there is none."""
        for label, other in self.arrays.items():
            if other.dtype == array.dtype and np.array_equal(other, array):
                return label
        return ""

    def describe(self) -> dict[str, CArray]:
        """The arrays as the template shows them."""
        described = {}
        for label, array in self.arrays.items():
            numbers = map(str, array.tolist())
            described[label] = CArray(
                CTYPES[str(array.dtype)], array.size, wrap_numbers(numbers)
            )
        return described
