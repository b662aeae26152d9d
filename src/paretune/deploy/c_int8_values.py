"""Calls of the functions that go through values one by one: rectifiers, curves, norms,
products and sums.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from paretune.deploy.c_int8_program import Int8Program, require_int8, write_slope
from paretune.deploy.fixed_point import FINE_BITS, MAX_MULTIPLIER, find_factor
from paretune.deploy.int8_network import (
    INT8_MAX,
    INT8_MIN,
    Constant,
    Int8Node,
    Reals,
    Steps,
    WholeConstant,
    find_reals,
    round_to_float,
)
from paretune.operations import types as ops

MAX_FINE = 2**31
MAX_EPSILON = 2**61


def write_rectifier(program: Int8Program, node: Int8Node) -> str:
    """The call of a rectifier that stands by itself."""
    slope = write_slope(node)
    given, made = program.find_change(node)
    factor = find_factor(given.scale / made.scale)
    zeros = (given.zero, made.zero)
    return program.write_call("leaky_relu", node, *zeros, node.size, *factor, slope)


def write_affine(program: Int8Program, node: Int8Node) -> str:
    """The call with one factor and one summand for each map."""
    slope = write_slope(node)
    given, made = program.find_change(node)
    maps, area = program.find_maps(node)
    factors, summands = _find_affine(node)
    fine = np.rint(2**FINE_BITS * _spread(summands, maps) / made.scale)
    fine_name = program.constants.add("int32", fine)
    multipliers = _spread(factors, maps) * given.scale / made.scale
    names = program.constants.add_factors(multipliers)
    zeros = (given.zero, made.zero)
    return program.write_call(
        "affine", node, *names, fine_name, *zeros, slope, maps, area
    )


def _spread(numbers: Reals, maps: int) -> Reals:
    """Numbers for each map, of one for each or one for all."""
    return np.broadcast_to(numbers.reshape(-1), maps)


def _find_affine(node: Int8Node) -> tuple[Reals, Reals]:
    """Factor and summand of each map. Raises :class:`~paretune.errors.ExportError` for
    those of rows or columns.
    """
    constants = node.constants
    match node.operation:
        case ops.Multiply():
            return _find_by_map(node, "mul", constants["weight"]), np.zeros(1)
        case ops.Add():
            return np.ones(1), _find_by_map(node, "add", constants["bias"])
        case ops.BatchNorm(eps=eps):
            variance = find_reals(constants["running_var"])
            deviation = np.sqrt(variance + round_to_float(eps))
            factors = find_reals(constants["weight"]) / deviation
            mean = find_reals(constants["running_mean"])
            return factors, find_reals(constants["bias"]) - mean * factors
        case operation:
            raise TypeError(f"{operation} is not affine")


def _find_by_map(node: Int8Node, function: str, constant: Constant) -> Reals:
    """The numbers of a constant, one for each map or one for all."""
    numbers = find_reals(constant)
    maps, *sides = node.shape
    by_map = (maps, *(1 for _ in sides))
    is_by_map = numbers.shape[-len(by_map) :] == by_map
    is_known = is_by_map or numbers.size == 1
    operation = f"{function} by constants of shape {numbers.shape}"
    require_int8(is_known, operation, "one for each map, or one for all")
    return numbers


def write_layer_norm(program: Int8Program, node: Int8Node, norm: ops.LayerNorm) -> str:
    """The call of a norm over all values, with one factor and one number to add, if
    any, that were operations of their own.
    """
    factor, summand = _find_scalars(node)
    given, made = program.find_change(node)
    eps = round_to_float(norm.eps)
    epsilon = max(1, round(eps * (node.size / given.scale) ** 2))
    values = f"layer_norm of values up to {255 * given.scale:.1g}"
    require_int8(epsilon < MAX_EPSILON, values, "a norm of larger ones")
    fine = round(2**FINE_BITS * summand / made.scale)
    operation = f"layer_norm that adds {summand:.1g}"
    require_int8(abs(fine) < MAX_FINE, operation, "a smaller number")
    return program.write_call(
        "layer_norm",
        node,
        *find_factor(factor / made.scale),
        fine,
        f"INT64_C({epsilon})",
        made.zero,
        write_slope(node),
        node.size,
    )


def _find_scalars(node: Int8Node) -> tuple[float, float]:
    """The one factor of a norm, and the one number that it adds."""
    constants = node.constants
    _require_single("bias" not in constants)
    own = _find_single(constants.get("ones", constants.get("weight")), 1.0)
    factor = _find_single(node.joined.factor, 1.0)
    return own * factor, _find_single(node.joined.added, 0.0)


def _find_single(constant: Constant | None, otherwise: float) -> float:
    """The one number that a constant has over and over."""
    match constant:
        case None:
            return otherwise
        case WholeConstant(values=values, scale=scale):
            return _find_only(values) * _find_only(scale)
        case _:
            return _find_only(constant)


def _find_only(numbers: NDArray[Any]) -> float:
    different = np.unique(numbers)
    _require_single(different.size == 1)
    return float(different[0])


def _require_single(is_single: bool) -> None:
    operation = "layer_norm by several factors"
    require_int8(is_single, operation, "one factor and one number to add")


def write_table(program: Int8Program, node: Int8Node) -> str:
    """The call of a function of one value, by what it makes of each int8."""
    given, made = program.find_change(node)
    inputs = given.dequantise(np.arange(INT8_MIN, INT8_MAX + 1))
    outputs = made.quantise(_evaluate(node, inputs))
    table = program.constants.add("int8", outputs)
    return program.write_call("table", node, table, node.size)


def _evaluate(node: Int8Node, values: Reals) -> Reals:
    """A curve of ``values``; the sigmoid within a silu is rounded, as it is in the
    file.
    """
    if isinstance(node.operation, ops.Tanh):
        return np.tanh(values)
    sigmoid: Reals = 1 / (1 + np.exp(-values))
    if isinstance(node.operation, ops.Sigmoid):
        return sigmoid
    assert node.sigmoid
    return values * node.sigmoid.dequantise(node.sigmoid.quantise(sigmoid))


def write_product(program: Int8Program, node: Int8Node) -> str:
    """The call of the products of two values."""
    slope = write_slope(node)
    first, second = _find_both_steps(program, node, "mul_values")
    made = program.find_steps(node.output)
    zeros = (first.zero, second.zero, made.zero)
    multiplier = first.scale * second.scale / made.scale
    factor = find_factor(multiplier)
    return program.write_call("mul_values", node, node.size, *zeros, *factor, slope)


def write_sum(program: Int8Program, node: Int8Node) -> str:
    """The call of the sums of two values, both of which have the same shift."""
    slope = write_slope(node)
    first, second = _find_both_steps(program, node, "add_values")
    made = program.find_steps(node.output)
    zeros = (first.zero, second.zero, made.zero)
    larger = max(first.scale, second.scale)
    shift = find_factor(larger / made.scale).shift
    factors = (
        _scale_up(first.scale / made.scale, shift),
        _scale_up(second.scale / made.scale, shift),
    )
    return program.write_call(
        "add_values", node, node.size, *zeros, *factors, shift, slope
    )


def _scale_up(multiplier: float, shift: int) -> int:
    return round(min(multiplier, MAX_MULTIPLIER) * (1 << shift))


def _find_both_steps(
    program: Int8Program, node: Int8Node, function: str
) -> tuple[Steps, Steps]:
    """The steps of both inputs, which have one shape."""
    first, second = node.inputs
    shapes = program.network.shapes
    steps = program.find_steps(second)
    is_alike = shapes[first] == shapes[second]
    require_int8(is_alike, f"{function} of other shapes", "the same shape")
    return program.find_steps(first), steps
