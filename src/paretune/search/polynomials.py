"""Quadratic polynomials of whole numbers, fitted to counts and kept only where they are
exact.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np
from numpy.typing import NDArray

from paretune.search.caps import CostCounts

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
Row = Sequence[int]
FactorPair = tuple[int, int]  # positions of two factors in a row with a 1 behind it
NEGLIGIBLE = 1e-6  # coefficient of a term; less is rounding


@dataclass(frozen=True)
class Polynomials:
    """Quadratic polynomials of whole numbers, the largest of some of which is a cost.

    ``pairs`` ``(T, 2)`` are the factors of the terms, positions in a row with a 1
    behind it; ``coefficients`` ``(K, T)`` are those of all polynomials, of which
    ``parts`` says by name which rows are a cost's.
    """

    pairs: Rows
    coefficients: Floats
    parts: Mapping[str, slice]

    def evaluate(self, rows: Rows) -> dict[str, Floats]:
        """The costs by name, whole numbers ``(N,)``, of rows ``(N, numbers)``."""
        products = _multiply_pairs(rows, self.pairs)
        values = np.rint(products @ self.coefficients.T)
        costs: dict[str, Floats] = {}
        for name, part in self.parts.items():
            costs[name] = values[:, part].max(axis=1)
        return costs

    def list_terms(self) -> list[FactorPair]:
        """The terms that any of the polynomials has."""
        is_used = (np.abs(self.coefficients) > NEGLIGIBLE).any(axis=0)
        return [(int(i), int(j)) for i, j in self.pairs[is_used]]


def list_pairs(length: int) -> list[FactorPair]:
    """The pairs of positions of all terms of a row with a 1 behind it, which has so
    many numbers in all.
    """
    return list(combinations_with_replacement(range(length), 2))


def fit_polynomials(
    rows: Sequence[Row], counts: Sequence[CostCounts], pairs: Sequence[FactorPair]
) -> Polynomials | None:
    """Polynomials of the terms ``pairs`` through the first ``counts`` at ``rows``;
    equal ones once.

    ``None`` if they are not exact at all of the rows.
    """
    numbers = np.array(rows, dtype=np.int64)
    factors = np.array(pairs, dtype=np.int64)
    products = _multiply_pairs(numbers, factors)
    solved: list[Floats] = []
    parts: dict[str, slice] = {}
    begin = 0
    for name in counts[0]:
        values = [named[name] for named in counts]
        if not _are_alike(values):
            return None
        coefficients = _solve(products, np.array(values, dtype=float))
        undominated = _drop_dominated(coefficients)
        solved.append(undominated)
        parts[name] = slice(begin, begin + len(undominated))
        begin += len(undominated)

    polynomials = Polynomials(factors, np.concatenate(solved), parts)
    predicted = polynomials.evaluate(numbers)
    for name in counts[0]:
        largest = np.array([max(named[name]) for named in counts])
        if not np.array_equal(predicted[name], largest):
            return None
    return polynomials


def _are_alike(values: Sequence[Sequence[float]]) -> bool:
    """Whether the cost is the largest of as many values in every row."""
    return len(set(map(len, values))) == 1


def _multiply_pairs(rows: Rows, pairs: Rows) -> Floats:
    """The products ``(rows, pairs)`` of the two factors of each term."""
    ones = np.ones((len(rows), 1))
    full = np.hstack([rows, ones])
    return np.asarray(full[:, pairs[:, 0]] * full[:, pairs[:, 1]])


def _solve(products: Floats, values: Floats) -> Floats:
    """The coefficients ``(parts, pairs)`` with which the first ``products`` give
    ``values`` ``(rows, parts)``.
    """
    scale = np.abs(products).max(axis=0)  # products of two widths beside ones
    parts = np.unique(values, axis=1)
    n_pairs = products.shape[1]
    scaled = products / scale
    solution = np.linalg.lstsq(scaled[:n_pairs], parts[:n_pairs], rcond=None)
    coefficients: Floats = solution[0].T / scale
    return np.where(np.abs(coefficients) > NEGLIGIBLE, coefficients, 0.0)


def _drop_dominated(coefficients: Floats) -> Floats:
    """The rows without those that another is nowhere below: of whole numbers from 0 on,
    these are never the largest.
    """
    kept: list[Floats] = []
    order = np.argsort(-coefficients.sum(axis=1), kind="stable")
    for row in coefficients[order]:
        is_dominated = any((other >= row - NEGLIGIBLE).all() for other in kept)
        if not is_dominated:
            kept.append(row)
    return np.array(kept)
