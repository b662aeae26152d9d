"""Quadratic polynomials of whole numbers, fitted to counts and kept only where they are
exact.
"""

from collections.abc import Sequence
from itertools import combinations_with_replacement

import numpy as np
from numpy.typing import NDArray

from paretune.search.caps import Counts

Floats = NDArray[np.float64]
Row = Sequence[int]
Pair = tuple[int, int]  # positions of two factors in a row with a 1 behind it
# Of each cost, the largest of which is the cost.
Polynomials = dict[str, list["Polynomial"]]
NEGLIGIBLE = 1e-6  # coefficient of a term; less is rounding


class Polynomial:
    """A polynomial of whole numbers, rounded to a whole number.

    ``terms`` are (i, j, coefficient): i and j are positions in a row with a 1 behind
    it.
    """

    def __init__(self, terms: Sequence[tuple[int, int, float]]) -> None:
        self.terms = terms

    def __call__(self, row: Row) -> int:
        """The cost at ``row`` (microseconds: hence no numpy)."""
        full = [*row, 1]
        total = sum(coefficient * full[i] * full[j] for i, j, coefficient in self.terms)
        return round(total)


def evaluate_largest(polynomials: Sequence[Polynomial], row: Row) -> int:
    """The largest of the polynomials at ``row``."""
    return max(polynomial(row) for polynomial in polynomials)


def list_pairs(length: int) -> list[Pair]:
    """The pairs of positions of all terms of a row with a 1 behind it, which has so
    many numbers in all.
    """
    return list(combinations_with_replacement(range(length), 2))


def fit_polynomials(
    rows: Sequence[Row], counts: Sequence[Counts], pairs: Sequence[Pair]
) -> Polynomials | None:
    """For each name polynomials of the terms ``pairs`` through the first ``counts`` at
    ``rows``; equal ones once.

    ``None`` if they are not exact at all of the rows.
    """
    products = _multiply_pairs(rows, pairs)
    polynomials: Polynomials = {}
    for name in counts[0]:
        values = [named[name] for named in counts]
        if not _are_alike(values):
            return None
        coefficients = _solve(products, np.array(values, dtype=float))
        undominated = _drop_dominated(coefficients)
        polynomials[name] = [_make_polynomial(pairs, row) for row in undominated]
        if not _are_exact(polynomials[name], rows, values):
            return None
    return polynomials


def _are_alike(values: Sequence[Sequence[float]]) -> bool:
    """Whether the cost is the largest of as many values in every row."""
    return len(set(map(len, values))) == 1


def _multiply_pairs(rows: Sequence[Row], pairs: Sequence[Pair]) -> Floats:
    """The products ``(rows, pairs)`` of the two factors of each term."""
    numbers = np.array(rows, dtype=float)
    ones = np.ones(len(rows))
    full = np.column_stack([numbers, ones])

    columns: list[Floats] = []
    for i, j in pairs:
        product = full[:, i] * full[:, j]
        columns.append(product)
    return np.column_stack(columns)


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
    return coefficients


def _make_polynomial(pairs: Sequence[Pair], coefficients: Floats) -> Polynomial:
    terms: list[tuple[int, int, float]] = []
    for (i, j), coefficient in zip(pairs, coefficients, strict=True):
        if abs(coefficient) > NEGLIGIBLE:
            terms.append((i, j, float(coefficient)))
    return Polynomial(terms)


def _are_exact(
    polynomials: Sequence[Polynomial],
    rows: Sequence[Row],
    values: Sequence[Sequence[float]],
) -> bool:
    for row, parts in zip(rows, values, strict=True):
        predicted = evaluate_largest(polynomials, row)
        if predicted != max(parts):
            return False
    return True


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
