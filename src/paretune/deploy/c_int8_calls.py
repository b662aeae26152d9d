"""Calls of the C functions that compute in whole numbers, one operation after the
other.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paretune.deploy import int8_operations as ops
from paretune.deploy.c_int8_constants import Constants
from paretune.deploy.fixed_point import (
    FACTOR_BITS,
    FINE_BITS,
    MAX_MULTIPLIER,
    SLOPE_BITS,
    find_factor,
)
from paretune.deploy.int8_operations import (
    INT8_MAX,
    INT8_MIN,
    Int8Op,
    Quantised,
    Reals,
    Shape,
    Steps,
    find_reals,
)
from paretune.deploy.model import WithScaling
from paretune.deploy.refusals import INT8_C, require_known
from paretune.memory import MemoryPlan
from paretune.operations import IMAGE

# The functions that all others call.
ROUNDING_KERNELS = ("scaled", "clipped", "fine", "sloped", "rounded")
SUM_KERNELS = ("scaled", "kept")  # those that a layer calls which gives sums
UNSIGNED_RANGE = 255  # the largest difference of two int8
WRITTEN_KINDS = (
    "conv2d",
    "linear",
    "map_mean",
    "max_pool2d",
    "relu",
    "leaky_relu",
    "silu",
    "sigmoid",
    "tanh",
    "affine",
    "mul",
    "add",
    "layer_norm",
    "add_values",
    "mul_values",
    "cat",
    "slice",
)


@dataclass
class Int8Calls:
    """Writes calls; the constants that they need gather in ``constants``, the functions
    in ``used``.

    Names of constants begin with ``NAME_``. ``logit_scale`` is the step of the logits,
    once they are written.
    """

    network: Quantised
    plan: MemoryPlan
    constants: Constants = field(default_factory=Constants)
    used: set[str] = field(default_factory=set)
    logit_scale: float = 1.0

    def write_image(self, net: WithScaling) -> str:
        """The call that brings pixels to the steps of the first values."""
        steps = self._find_steps(IMAGE)
        size = prod(self.network.image_shape)
        factor, shift = find_factor(net.factor / 255 / steps.scale)
        offset = (steps.zero + net.shift / steps.scale) * 2**shift + 2 ** (shift - 1)
        scaling = f"image scaled by {net.factor:.3g}"
        require_known(
            abs(offset) < 2**62, scaling, "a scaling nearer to the images", INT8_C
        )
        self.used.update(("image", *ROUNDING_KERNELS))
        return (
            f"image(pixels, {self._place(IMAGE)}, {size}, {factor}, "
            f"INT64_C({round(offset)}), {shift});"
        )

    def write(self, op: Int8Op) -> list[str]:
        """The calls of one operation. Raises :class:`~paretune.errors.ExportError` for
        one that has no function.
        """
        is_known = op.kind in WRITTEN_KINDS and not isinstance(op.settings, ops.Unknown)
        require_known(is_known, op.kind, f"one of {', '.join(WRITTEN_KINDS)}", INT8_C)
        self._find_steps(op.inputs[0])
        match op.settings:
            case ops.Conv() as conv:
                return [self._write_conv(op, conv)]
            case ops.Linear() as linear:
                return [self._write_linear(op, linear)]
            case ops.MeanOfMaps():
                return [self._write_mean(op)]
            case ops.Concat():
                return self._write_concat(op)
            case ops.Slice() as part:
                return [self._write_slice(op, part)]
            case ops.MaxPool() as pool:
                return self._write_pool(op, pool)
        return [self._write_by_value(op)]

    def _write_by_value(self, op: Int8Op) -> str:
        """The call of an operation that goes through its input value by value."""
        match op.settings:
            case ops.Rectifier():
                return self._write_rectifier(op)
            case ops.BatchNorm() | ops.Scale() | ops.Offset():
                return self._write_affine(op)
            case ops.LayerNorm() as norm:
                return self._write_layer_norm(op, norm)
            case ops.Curve() as curve:
                return self._write_table(op, curve)
        if op.kind == "mul_values":
            return self._write_product(op)
        return self._write_sum(op)

    def _write_conv(self, op: Int8Op, conv: ops.Conv) -> str:
        window = conv.window
        sums = _Sums.of(conv.weight.values, conv.weight, conv.bias)
        require_known(
            set(window.dilations) == {1},
            "conv2d with dilation",
            "a convolution without it",
            INT8_C,
        )
        shape = self._find_shape(op)
        dimensions = [
            *shape,
            *op.shape,
            *window.kernel,
            *window.strides,
            *window.pads[:2],
            conv.groups,
        ]
        return self._write_sums(op, sums, dimensions)

    def _write_linear(self, op: Int8Op, linear: ops.Linear) -> str:
        weight = linear.weight.values
        if not linear.is_transposed:
            weight = weight.T
        sums = _Sums.of(weight, linear.weight, linear.bias)
        return self._write_sums(op, sums, [prod(self._find_shape(op)), op.size])

    def _write_sums(self, op: Int8Op, sums: "_Sums", dimensions: Sequence[int]) -> str:
        """A convolution or a dense layer: sums of products, brought to the steps of
        what comes next.
        """
        given = self._find_steps(op.inputs[0])
        made = self.network.steps.get(op.output)
        largest = sums.find_largest()
        operation = f"{op.kind} with sums up to {largest.max():,.0f}"
        require_known(largest.max() < 2**31, operation, "less than 2^31", INT8_C)
        scales = sums.scales * given.scale
        if made is None:
            self.logit_scale = max(
                float(scales.min()), float((largest * scales).max()) / 2**FACTOR_BITS
            )
        output_scale = made.scale if made else self.logit_scale
        signs = sums.find_signs()
        weights = self.constants.add("int8", sums.rows * signs[:, None])
        biases = self.constants.add("int32", sums.bias * signs)
        factors, shifts = self.constants.add_factors(signs * scales / output_scale)
        arrays = (weights, biases, factors, shifts)
        return self._call(
            op,
            *arrays,
            given.zero,
            _zero_of(made),
            _write_slope(op),
            *dimensions,
            is_int8=bool(made),
        )

    def _write_mean(self, op: Int8Op) -> str:
        maps, area = _split_shape(self._find_shape(op))
        require_known(op.size == maps, "mean over others", "that of whole maps", INT8_C)
        given = self._find_steps(op.inputs[0])
        made = self.network.steps.get(op.output)
        scale = given.scale / area
        if made:
            factor = find_factor(scale / made.scale)
        else:
            self.logit_scale = scale
            factor = find_factor(1.0)
        zeros = (given.zero, _zero_of(made))
        return self._call(
            op, *factor, *zeros, _write_slope(op), maps, area, is_int8=bool(made)
        )

    def _write_pool(self, op: Int8Op, pool: ops.MaxPool) -> list[str]:
        """The largest values, brought to other steps if a rectifier follows, which
        clips them.
        """
        require_known(
            not pool.is_rounded_up,
            "max_pool2d with ceil_mode",
            "a pool without it",
            INT8_C,
        )
        given = self._find_steps(op.inputs[0])
        made = self._find_steps(op.output)
        window = pool.window
        around = [*window.kernel, *window.strides, *window.pads[:2]]
        lines = [self._call(op, *self._find_shape(op), *op.shape[1:], *around)]
        if made != given:
            place = self._place(op.output)
            lines.append(self._write_copy(place, place, op.size, given, made))
        return lines

    def _write_rectifier(self, op: Int8Op) -> str:
        slope = _write_slope(op)
        given = self._find_steps(op.inputs[0])
        made = self._find_steps(op.output)
        factor = find_factor(given.scale / made.scale)
        return self._call(
            op, given.zero, made.zero, op.size, *factor, slope, function="leaky_relu"
        )

    def _write_affine(self, op: Int8Op) -> str:
        """One factor and one summand for each map."""
        slope = _write_slope(op)
        given = self._find_steps(op.inputs[0])
        made = self._find_steps(op.output)
        maps, area = _split_shape(self._find_shape(op))
        factors, summands = _find_affine(op)
        factors = np.broadcast_to(factors.reshape(-1), maps)
        summands = np.broadcast_to(summands.reshape(-1), maps)
        fine = self.constants.add(
            "int32", np.rint(2**FINE_BITS * summands / made.scale)
        )
        names = self.constants.add_factors(factors * given.scale / made.scale)
        return self._call(
            op,
            *names,
            fine,
            given.zero,
            made.zero,
            slope,
            maps,
            area,
            function="affine",
        )

    def _write_layer_norm(self, op: Int8Op, norm: ops.LayerNorm) -> str:
        """A norm over all values, with one factor and one number to add, if any, that
        were operations of their own.
        """
        factor, summand = _find_scalars(op, norm)
        given = self._find_steps(op.inputs[0])
        made = self._find_steps(op.output)
        epsilon = max(1, round(norm.epsilon * (op.size / given.scale) ** 2))
        values = f"layer_norm of values up to {255 * given.scale:.1g}"
        require_known(epsilon < 2**61, values, "larger ones", INT8_C)
        fine = round(2**FINE_BITS * summand / made.scale)
        require_known(
            abs(fine) < 2**31,
            f"layer_norm that adds {summand:.1g}",
            "a smaller number",
            INT8_C,
        )
        whole_factor = find_factor(factor / made.scale)
        return self._call(
            op,
            *whole_factor,
            fine,
            f"INT64_C({epsilon})",
            made.zero,
            _write_slope(op),
            op.size,
        )

    def _write_table(self, op: Int8Op, curve: ops.Curve) -> str:
        """A function of one value: what it makes of each int8."""
        given = self._find_steps(op.inputs[0])
        made = self._find_steps(op.output)
        inputs = given.dequantise(np.arange(INT8_MIN, INT8_MAX + 1))
        outputs = _evaluate(op.kind, curve, inputs)
        table = self.constants.add("int8", made.quantise(outputs))
        return self._call(op, table, op.size, function="table")

    def _write_product(self, op: Int8Op) -> str:
        slope = _write_slope(op)
        first, second = self._find_both_steps(op)
        made = self._find_steps(op.output)
        zeros = (first.zero, second.zero, made.zero)
        factor = find_factor(first.scale * second.scale / made.scale)
        return self._call(op, op.size, *zeros, *factor, slope)

    def _write_sum(self, op: Int8Op) -> str:
        slope = _write_slope(op)
        first, second = self._find_both_steps(op)
        made = self._find_steps(op.output)
        zeros = (first.zero, second.zero, made.zero)
        multipliers = [first.scale / made.scale, second.scale / made.scale]
        shift = find_factor(max(multipliers)).shift
        factors = [
            round(min(multiplier, MAX_MULTIPLIER) * 2**shift)
            for multiplier in multipliers
        ]
        return self._call(op, op.size, *zeros, *factors, shift, slope)

    def _find_both_steps(self, op: Int8Op) -> tuple[Steps, Steps]:
        """The steps of both inputs, which have one shape."""
        first, second = op.inputs
        shapes = self.network.shapes
        steps = self._find_steps(second)
        require_known(
            shapes[first] == shapes[second],
            f"{op.kind} of other shapes",
            "the same shape",
            INT8_C,
        )
        return self._find_steps(first), steps

    def _write_concat(self, op: Int8Op) -> list[str]:
        made = self._find_steps(op.output)
        lines = []
        start = 0
        for value in op.inputs:
            size = prod(self.network.shapes[value])
            target = f"{self._place(op.output)} + {start}"
            lines.append(
                self._write_copy(
                    self._place(value), target, size, self._find_steps(value), made
                )
            )
            start += size
        return lines

    def _write_slice(self, op: Int8Op, part: ops.Slice) -> str:
        made = self._find_steps(op.output)
        require_known(
            part.axis == 1,
            "slice of rows or columns",
            "the slice of whole maps",
            INT8_C,
        )
        _, area = _split_shape(self._find_shape(op))
        source = f"{self._place(op.inputs[0])} + {part.first * area}"
        return self._write_copy(
            source,
            self._place(op.output),
            op.size,
            self._find_steps(op.inputs[0]),
            made,
        )

    def _write_copy(
        self, source: str, target: str, size: int, given: Steps, made: Steps
    ) -> str:
        """The call that copies values from place to place, from the steps of one value
        to those of another.
        """
        self.used.update(("cat", *ROUNDING_KERNELS))
        factor, shift = find_factor(given.scale / made.scale)
        return (
            f"cat({source}, {target}, {size}, {given.zero}, {made.zero}, {factor}, "
            f"{shift});"
        )

    def _call(
        self,
        op: Int8Op,
        *arguments: int | str,
        is_int8: bool = True,
        function: str = "",
    ) -> str:
        """The call of ``function``, or of the one named as the operation; without
        ``is_int8`` it gives sums.
        """
        function = function or op.kind
        places = [self._place(value) for value in op.inputs]
        if is_int8:
            self.used.update(ROUNDING_KERNELS)
            places.append(self._place(op.output))
        else:
            self.used.update(SUM_KERNELS)
            function = f"{function}_sums"
            places.append("logits")
        self.used.add(function)
        return f"{function}({', '.join(map(str, [*places, *arguments]))});"

    def _find_shape(self, op: Int8Op) -> Shape:
        """The shape of the first input."""
        return self.network.shapes[op.inputs[0]]

    def _find_steps(self, value: str) -> Steps:
        is_rounded = value in self.network.steps
        reader = f"what reads `{value}`, which is not rounded,"
        require_known(
            is_rounded, reader, "a convolution or a dense layer first", INT8_C
        )
        return self.network.steps[value]

    def _place(self, value: str) -> str:
        return f"memory + {self.plan.offsets[value]}"


@dataclass(frozen=True)
class _Sums:
    """Weights ``(sums, products of each)``, what is added to each sum, and what 1 of it
    stands for.
    """

    rows: NDArray[Any]
    bias: NDArray[Any]
    scales: Reals

    @classmethod
    def of(
        cls,
        weight: NDArray[Any],
        constant: ops.WholeConstant,
        bias: ops.WholeConstant | None,
    ) -> "_Sums":
        """Those of a layer whose weights are ``weight``, the values of ``constant``
        with the sums first.
        """
        n_sums = len(weight)
        scales = np.asarray(constant.scale, float).reshape(-1)
        added = np.zeros(n_sums) if bias is None else bias.values
        return cls(
            weight.reshape(n_sums, -1).astype(int),
            added,
            np.broadcast_to(scales, n_sums),
        )

    def find_largest(self) -> NDArray[Any]:
        """How large each sum may become."""
        products: NDArray[Any] = UNSIGNED_RANGE * np.abs(self.rows).sum(1)
        largest: NDArray[Any] = np.abs(self.bias.astype(np.int64)) + products
        return largest

    def find_signs(self) -> Reals:
        """-1 for rows whose first weight is negative, which are stored with the other
        sign, else 1.

        Layers that differ by the norms that joined them are the same array then.
        """
        first = (self.rows != 0).argmax(axis=1)
        signs: Reals = np.sign(self.rows[np.arange(len(self.rows)), first] + 0.5)
        return signs


def _zero_of(steps: Steps | None) -> int:
    return steps.zero if steps else 0


def _split_shape(shape: Shape) -> tuple[int, int]:
    """Maps, and values of each."""
    return shape[0], prod(shape[1:])


def _write_slope(op: Int8Op) -> int:
    """The slope of an operation below 0, in 1/2^24."""
    known = abs(op.slope) < 2
    require_known(
        known,
        f"leaky_relu with a slope of {op.slope:g}",
        "one between -2 and 2",
        INT8_C,
    )
    return round(op.slope * (1 << SLOPE_BITS))


def _evaluate(kind: str, curve: ops.Curve, values: Reals) -> Reals:
    """An activation of ``values``; the sigmoid within a silu is rounded, as it is in
    the file.
    """
    if kind == "tanh":
        return np.tanh(values)
    sigmoid: Reals = 1 / (1 + np.exp(-values))
    if kind != "silu":
        return sigmoid
    assert curve.sigmoid
    rounded = curve.sigmoid.dequantise(curve.sigmoid.quantise(sigmoid))
    return values * rounded


def _find_affine(op: Int8Op) -> tuple[Reals, Reals]:
    """Factor and summand of each map. Raises :class:`~paretune.errors.ExportError` for
    those of rows or columns.
    """
    match op.settings:
        case ops.Scale(factor):
            return _find_by_map(op, find_reals(factor)), np.zeros(1)
        case ops.Offset(added):
            return np.ones(1), _find_by_map(op, find_reals(added))
    norm = op.settings
    assert isinstance(norm, ops.BatchNorm)
    factors = find_reals(norm.factor) / np.sqrt(
        find_reals(norm.variance) + norm.epsilon
    )
    return factors, find_reals(norm.shift) - find_reals(norm.mean) * factors


def _find_by_map(op: Int8Op, constants: Reals) -> Reals:
    """The constants, one for each map or one for all."""
    shape = constants.shape
    ones = [1] * (len(op.shape) - 1)
    is_by_map = shape[-len(op.shape) :] == (op.shape[0], *ones)
    is_known = is_by_map or constants.size == 1
    require_known(
        is_known, f"{op.kind} by constants of shape {shape}", "one for each map", INT8_C
    )
    return constants


def _find_scalars(op: Int8Op, norm: ops.LayerNorm) -> tuple[float, float]:
    """The one factor of a norm, and the one number that it adds."""
    factor = find_reals(np.array(1.0) if op.joined.factor is None else op.joined.factor)
    summand = find_reals(np.array(0.0) if op.joined.added is None else op.joined.added)
    own = norm.factor if isinstance(norm.factor, ops.WholeConstant) else None
    is_of_one = factor.size == summand.size == 1 and norm.shift is None
    is_plain = own is not None and own.values.size == op.size and _is_one_number(own)
    require_known(
        is_of_one and is_plain,
        "layer_norm by several factors",
        "one factor and one number to add",
        INT8_C,
    )
    assert own
    own_factor = own.values.flat[0] * own.scale.flat[0]
    return float(own_factor * factor.item()), float(summand.item())


def _is_one_number(constant: ops.WholeConstant) -> bool:
    return bool(np.unique(constant.values).size == np.unique(constant.scale).size == 1)
