"""Calls of the functions that add up in 32 bits: convolutions, dense layers, means.

A sum of products of whole numbers stands for a real number; a factor and a shift for
each map bring it to the steps of the next value, or, in the last layer, to those of the
logits.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paretune.deploy.c_int8_program import Int8Program, require_int8, write_slope
from paretune.deploy.fixed_point import FACTOR_BITS, find_factor
from paretune.deploy.int8_network import Int8Node, Reals, Steps, WholeConstant
from paretune.operations import types as ops

UNSIGNED_RANGE = 255  # the largest difference of two int8
MAX_SUM = 2**31


def write_conv(program: Int8Program, node: Int8Node, conv: ops.Conv) -> str:
    """The call of a convolution."""
    is_plain = conv.dilation == ops.ONE_EACH
    require_int8(is_plain, "conv2d with dilation", "a convolution without it")
    dimensions = [
        *program.find_shape(node),
        *node.shape,
        *conv.weight.shape[2:],
        *conv.strides,
        *conv.padding,
        conv.groups,
    ]
    return _write_layer(program, node, "conv2d", dimensions)


def write_linear(program: Int8Program, node: Int8Node) -> str:
    """The call of a dense layer."""
    dimensions = [prod(program.find_shape(node)), node.size]
    return _write_layer(program, node, "linear", dimensions)


def write_mean(program: Int8Program, node: Int8Node) -> str:
    """The call that gives the mean of each map."""
    maps, area = program.find_maps(node)
    given = program.find_steps(node.inputs[0])
    scale = given.scale / area
    made = program.network.steps.get(node.output)
    if made:
        factor = find_factor(scale / made.scale)
    else:
        program.logit_scale = scale
        factor = find_factor(1.0)
    zeros = (given.zero, _zero_of(made))
    write = program.write_call if made else program.write_logits
    return write("map_mean", node, *factor, *zeros, write_slope(node), maps, area)


def _write_layer(
    program: Int8Program, node: Int8Node, function: str, dimensions: Sequence[int]
) -> str:
    """A convolution or a dense layer: sums of products, brought to the steps of what
    comes next.
    """
    sums = _Sums.of(node, function)
    given = program.find_steps(node.inputs[0])
    made = program.network.steps.get(node.output)
    largest = sums.find_largest()
    operation = f"{function} with sums up to {largest.max():,.0f}"
    require_int8(largest.max() < MAX_SUM, operation, "smaller weights or fewer of them")
    scales = sums.scales * given.scale
    if made is None:
        program.logit_scale = _find_logit_scale(scales, largest)
    step = made.scale if made else program.logit_scale
    arrays = _store(program, sums, scales, step)
    zeros = (given.zero, _zero_of(made))
    write = program.write_call if made else program.write_logits
    return write(function, node, *arrays, *zeros, write_slope(node), *dimensions)


def _store(
    program: Int8Program, sums: "_Sums", scales: Reals, step: float
) -> tuple[str, ...]:
    """Keep the arrays of sums, of which 1 stands for ``scales``, in a value of this
    ``step``; returns their names: weights, biases, factors, shifts.
    """
    signs = sums.find_signs()
    by_row = signs[:, np.newaxis]
    weights = program.constants.add("int8", sums.rows * by_row)
    biases = program.constants.add("int32", sums.bias * signs)
    factors, shifts = program.constants.add_factors(signs * scales / step)
    return weights, biases, factors, shifts


def _find_logit_scale(scales: Reals, largest: NDArray[Any]) -> float:
    """The step of the logits: small, but such that the largest one has at most 30
    bits.
    """
    finest = float(scales.min())
    largest_logit = float((largest * scales).max())
    return max(finest, largest_logit / (1 << FACTOR_BITS))


def _zero_of(steps: Steps | None) -> int:
    return steps.zero if steps else 0


@dataclass(frozen=True)
class _Sums:
    """Weights ``(sums, products of each)``, what is added to each sum, and what 1 of it
    stands for.
    """

    rows: NDArray[Any]
    bias: NDArray[Any]
    scales: Reals

    @classmethod
    def of(cls, node: Int8Node, function: str) -> "_Sums":
        """Those of a layer, whose weights have the sums first."""
        weight = node.constants.get("weight")
        bias = node.constants.get("bias")
        is_whole = isinstance(weight, WholeConstant)
        require_int8(is_whole, f"{function} with real weights", "whole ones")
        assert isinstance(weight, WholeConstant)
        n_sums = len(weight.values)
        scales = np.asarray(weight.scale, float).reshape(-1)
        added = bias.values if isinstance(bias, WholeConstant) else np.zeros(n_sums)
        return cls(
            weight.values.reshape(n_sums, -1).astype(int),
            added,
            np.broadcast_to(scales, n_sums),
        )

    def find_largest(self) -> NDArray[Any]:
        """How large each sum may become."""
        weights = np.abs(self.rows).sum(axis=1)
        bias = np.abs(self.bias.astype(np.int64))
        largest: NDArray[Any] = bias + UNSIGNED_RANGE * weights
        return largest

    def find_signs(self) -> Reals:
        """-1 for rows whose first weight is negative, which are stored with the other
        sign, else 1.

        Layers that differ by the norms that joined them are the same array then.
        """
        first = (self.rows != 0).argmax(axis=1)
        first_weights = self.rows[np.arange(len(self.rows)), first]
        signs: Reals = np.sign(first_weights + 0.5)
        return signs
