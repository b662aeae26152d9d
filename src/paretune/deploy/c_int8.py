"""A C99 header in whole numbers: int8 weights and activations, int32 sums, no floating point and no library.

For microcontrollers without a floating-point unit. It is written from the quantised ONNX file, so that both do the same: a
sum of products is brought to the steps of the next values by a factor of 31 bits and a shift (Jacob et al. 2018,
https://arxiv.org/abs/1712.05877, section 2.2).
"""

from dataclasses import dataclass, field
from math import frexp, prod
from pathlib import Path
from textwrap import wrap
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from paretune.deploy.c_header import LINE, filled, kernels_in, naming_layer, require_known, run_program
from paretune.deploy.c_text import c_name
from paretune.deploy.int8 import LEAST, MOST, Quantised, Steps
from paretune.deploy.model import Deployable, WithScaling
from paretune.graph import IMAGE, Op, buffers_of
from paretune.memory import MemoryPlan, plan_memory

BITS = 30  # of a factor
LARGEST_FACTOR = 2.0**29  # one step times this is out of int8, as with any larger one
FINE_BITS, SLOPE_BITS = 16, 24  # of parts of a step before the last rounding, and of a slope
ROUNDING = ("scaled", "clipped", "fine", "sloped", "rounded")  # the functions that all others call
SUMS = ("conv2d", "linear", "map_mean")  # operations that can give the logits
CTYPES = {"int8": "int8_t", "int32": "int32_t"}
IN_C = "--int8 with --c"
WRITTEN = ("conv2d", "linear", "map_mean", "max_pool2d", "relu", "leaky_relu", "silu", "sigmoid", "tanh", "affine", "mul", "add",
           "layer_norm", "add_values", "mul_values", "cat", "slice")  # fmt: skip
MAIN = """
#include <stdio.h>
#include "model.h"
int main(void) {{
  static uint8_t pixels[{pixels}];
  static int32_t logits[{classes}];
  while (fread(pixels, 1, {pixels}, stdin) == {pixels}) {{
    {name}_logits(pixels, logits);
    fwrite(logits, sizeof(int32_t), {classes}, stdout);
  }}
  return 0;
}}
"""


def write_c_int8(network: Quantised, model: Deployable, path: Path, about: str) -> tuple[int, int]:
    """Write the header of a quantised network whose images are scaled as ``model`` does; returns its bytes of RAM and of constants.

    ``network`` are the operations of one look; the code looks as often as ``model``. ``about`` is the comment at its top.
    Raises :class:`~paretune.errors.ExportError` for an operation that is not written in whole numbers.
    """
    net, image = model.net, network.graph.shapes[IMAGE]
    last = network.graph.ops[-1]
    is_sums = last.kind in SUMS and last.output not in network.steps and "slope" not in last.settings
    what = f"what follows the last {last.kind}" if last.kind in SUMS and not is_sums else f"{last.kind} as the last"
    with naming_layer(model, last.layer):
        require_known(is_sums, what, "a convolution, a dense layer or the mean of maps, with nothing behind it", IN_C)
    logits = last.output  # the caller has a place for them
    plan = plan_memory([buffer for buffer in buffers_of(network.graph) if logits not in buffer.values])
    calls = Calls(network, plan)
    lines = [calls.image(net)]
    for op in network.graph.ops:
        with naming_layer(model, op.layer):
            lines += calls.of(op)
    name = c_name(path)
    text = filled(
        "model_int8.h",
        model,
        about,
        name=name,
        classes=last.size,
        kernels=calls.sources(),
        arrays=calls.described(),
        calls=[line.replace("NAME_", f"{name}_") for line in lines],
        memory=plan.size,
        flash_bytes=calls.flash_bytes,
        logit_scale=f"{calls.logit_scale:.6g}",
    )
    path.write_text(text, encoding="utf-8")
    return plan.size + (prod(image) if net.views else 0), calls.flash_bytes


def run_c_int8(path: Path, pixels: NDArray[np.uint8], classes: int) -> NDArray[np.int32]:
    """Whole-number logits ``(N, classes)`` of images ``(N, C, H, W)`` by the header ``path``."""
    name = c_name(path)
    main = MAIN.format(pixels=pixels[0].size, classes=classes, name=name)
    return np.frombuffer(run_program(main, path, np.ascontiguousarray(pixels).tobytes()), np.int32).reshape(-1, classes)


def factor_of(multiplier: float) -> tuple[int, int]:
    """Whole numbers (factor, shift) with factor / 2^shift next to ``multiplier``, the factor of at most 31 bits and a sign."""
    if multiplier == 0:
        return 0, BITS
    multiplier = max(-LARGEST_FACTOR, min(multiplier, LARGEST_FACTOR))
    _, exponent = frexp(multiplier)
    shift = min(max(BITS - exponent, 1), 62)
    return round(multiplier * 2**shift), shift


@dataclass
class Calls:
    """Writes calls of the C functions; the constants that they need gather in ``arrays`` by their names in C, equal ones once."""

    network: Quantised
    plan: MemoryPlan
    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    logit_scale: float = 1.0

    @property
    def flash_bytes(self) -> int:
        """Bytes of all constants."""
        return sum(array.nbytes for array in self.arrays.values())

    def image(self, net: WithScaling) -> str:
        """The call that brings pixels to the steps of the first values."""
        steps, size = self._steps(IMAGE), prod(self.network.graph.shapes[IMAGE])
        factor, shift = factor_of(net.factor / 255 / steps.scale)
        offset = (steps.zero + net.shift / steps.scale) * 2**shift + 2 ** (shift - 1)
        require_known(abs(offset) < 2**62, f"image scaled by {net.factor:.3g}", "a scaling nearer to the images", IN_C)
        self.used |= {"image", *ROUNDING}
        return f"image(pixels, {self._place(IMAGE)}, {size}, {factor}, INT64_C({round(offset)}), {shift});"

    def of(self, op: Op) -> list[str]:
        """The calls of one operation. Raises :class:`~paretune.errors.ExportError` for one that has no function."""
        require_known(op.kind in WRITTEN, op.kind, f"one of {', '.join(WRITTEN)}", IN_C)
        given, made = self._steps(op.inputs[0]), self.network.steps.get(op.output)
        shape = self.network.graph.shapes[op.inputs[0]]
        if op.kind in ("conv2d", "linear"):
            return [self._sums(op, given, made, self._around(op, shape))]
        if op.kind == "map_mean":
            return [self._mean(op, given, made, shape[0], prod(shape) // shape[0])]
        made = self._steps(op.output)
        if op.kind == "cat":
            return self._joined(op, made)
        if op.kind == "slice":
            return [self._sliced(op, given, made)]
        if op.kind == "max_pool2d":
            return self._pooled(op, given, made, shape)
        return [self._by_value(op, given, made, shape)]

    def _by_value(self, op: Op, given: Steps, made: Steps, shape: tuple[int, ...]) -> str:
        """The call of an operation that goes through its input value by value."""
        maps, area, slope = shape[0], prod(shape) // shape[0], _slope(op)
        match op.kind:
            case "leaky_relu" | "relu":
                factor = factor_of(given.scale / made.scale)
                return self._call(op, True, given.zero, made.zero, op.size, *factor, slope, function="leaky_relu")
            case "affine" | "mul" | "add":
                factors, added = (np.broadcast_to(part.reshape(-1), maps) for part in _affine(op))
                fine = self._array("int32", np.rint(2**FINE_BITS * added / made.scale))
                channel = self._factors(factors * given.scale / made.scale)
                zeros = (given.zero, made.zero)
                return self._call(op, True, *channel, fine, *zeros, slope, maps, area, function="affine")
            case "layer_norm":
                return self._layer_norm(op, given, made)
            case "silu" | "sigmoid" | "tanh":
                table = self._array("int8", _whole(_curve(op, _real_of(np.arange(LEAST, MOST + 1), given)), made))
                return self._call(op, True, table, op.size, function="table")
        return self._of_two(op, given, self._steps(op.inputs[1]), made)

    def _pooled(self, op: Op, given: Steps, made: Steps, shape: tuple[int, ...]) -> list[str]:
        """The largest values, brought to other steps if a rectifier follows, which clips them."""
        s = op.settings
        require_known(not s.get("ceil_mode"), "max_pool2d with ceil_mode", "none", IN_C)
        kernel = [*s["kernel_shape"], *s["strides"], *s["pads"][:2]]
        pool = self._call(op, True, *shape, *op.shape[1:], *kernel)
        place = self._place(op.output)
        return [pool] if made == given else [pool, self._copied(place, place, op.size, given, made)]

    def _mean(self, op: Op, given: Steps, made: Steps | None, maps: int, area: int) -> str:
        require_known(op.size == maps, "mean over others", "that of whole maps", IN_C)
        scale = given.scale / area
        if made is None:
            self.logit_scale = scale
        factors = factor_of(scale / made.scale if made else 1.0)
        zeros = (given.zero, made.zero if made else 0)
        return self._call(op, bool(made), *factors, *zeros, _slope(op), maps, area)

    def _layer_norm(self, op: Op, given: Steps, made: Steps) -> str:
        """A norm over all values, with one factor and one number to add, if any, that were operations of their own."""
        s = op.settings
        factor, added = _real(s.get("factor", 1.0)), _real(s.get("added", 0.0))
        whole, scales = map(np.unique, s["1"])
        is_one = whole.size == scales.size == factor.size == added.size == 1
        is_plain = is_one and "2" not in s and s["1"][0].size == op.size
        require_known(is_plain, "layer_norm by several factors", "one factor and one number to add", IN_C)
        eps = max(1, round(s.get("epsilon", 1e-5) * (op.size / given.scale) ** 2))
        require_known(eps < 2**61, f"layer_norm of values up to {255 * given.scale:.1g}", "larger ones", IN_C)
        fine = round(2**FINE_BITS * added.item() / made.scale)
        require_known(abs(fine) < 2**31, f"layer_norm that adds {added.item():.1g}", "a smaller number", IN_C)
        factors = factor_of(float(whole[0] * scales[0] * factor.item()) / made.scale)
        return self._call(op, True, *factors, fine, f"INT64_C({eps})", made.zero, _slope(op), op.size)

    def _sums(self, op: Op, given: Steps, made: Steps | None, dimensions: list[int]) -> str:
        """A convolution or a dense layer: sums of products of whole numbers, brought to the steps of what comes next."""
        weight, scales = op.settings["1"]
        weight = weight if op.kind == "conv2d" or op.settings.get("transB") else weight.T
        scales = np.broadcast_to(np.asarray(scales, float).reshape(-1), len(weight)) * given.scale
        bias, _ = op.settings.get("2", (np.zeros(len(weight)), 1.0))
        rows = weight.reshape(len(weight), -1).astype(int)
        # each row begins with a positive weight: layers that differ by the norms that joined them are the same array
        signs = np.sign(rows[np.arange(len(rows)), (rows != 0).argmax(axis=1)] + 0.5)
        most = np.abs(bias.astype(np.int64)) + 255 * np.abs(rows).sum(1)  # of a sum
        require_known(most.max() < 2**31, f"{op.kind} with sums up to {most.max():,.0f}", "less than 2^31", IN_C)
        if made is None:
            self.logit_scale = max(float(scales.min()), float((most * scales).max()) / 2**BITS)
        arrays = (
            self._array("int8", rows * signs[:, None]),
            self._array("int32", bias * signs),
            *self._factors(signs * scales / (made.scale if made else self.logit_scale)),
        )
        return self._call(op, bool(made), *arrays, given.zero, made.zero if made else 0, _slope(op), *dimensions)

    def _around(self, op: Op, shape: tuple[int, ...]) -> list[int]:
        s = op.settings
        if op.kind == "linear":
            return [prod(shape), op.size]
        require_known(set(s["dilations"]) == {1}, "conv2d with dilation", "none", IN_C)
        return [*shape, *op.shape, *s["kernel_shape"], *s["strides"], *s["pads"][:2], s["group"]]

    def _of_two(self, op: Op, first: Steps, second: Steps, made: Steps) -> str:
        shapes, slope = [self.network.graph.shapes[value] for value in op.inputs], _slope(op)
        require_known(shapes[0] == shapes[1], f"{op.kind} of other shapes", "the same shape", IN_C)
        zeros = (first.zero, second.zero, made.zero)
        if op.kind == "mul_values":
            return self._call(op, True, op.size, *zeros, *factor_of(first.scale * second.scale / made.scale), slope)
        multipliers = [first.scale / made.scale, second.scale / made.scale]
        _, shift = factor_of(max(multipliers))
        factors = [round(min(multiplier, LARGEST_FACTOR) * 2**shift) for multiplier in multipliers]
        return self._call(op, True, op.size, *zeros, *factors, shift, slope)

    def _joined(self, op: Op, made: Steps) -> list[str]:
        lines, start = [], 0
        for value in op.inputs:
            size = prod(self.network.graph.shapes[value])
            lines.append(
                self._copied(self._place(value), f"{self._place(op.output)} + {start}", size, self._steps(value), made)
            )
            start += size
        return lines

    def _sliced(self, op: Op, given: Steps, made: Steps) -> str:
        first, axis = (int(np.ravel(op.settings[number])[0]) for number in ("1", "3"))
        require_known(axis == 1, "slice of rows or columns", "the slice of whole maps", IN_C)
        start = first * prod(self.network.graph.shapes[op.inputs[0]][1:])
        return self._copied(f"{self._place(op.inputs[0])} + {start}", self._place(op.output), op.size, given, made)

    def _copied(self, source: str, target: str, size: int, given: Steps, made: Steps) -> str:
        """The call that copies values from place to place, from the steps of one value to those of another."""
        self.used |= {"cat", *ROUNDING}
        factors = factor_of(given.scale / made.scale)
        return f"cat({source}, {target}, {', '.join(map(str, (size, given.zero, made.zero, *factors)))});"

    def _call(self, op: Op, is_int8: bool, *arguments: Any, function: str = "") -> str:
        function = (function or op.kind) + ("" if is_int8 else "_sums")
        self.used |= {function, *(ROUNDING if is_int8 else ["scaled", "kept"])}
        places = [*map(self._place, op.inputs), self._place(op.output) if is_int8 else "logits"]
        return f"{function}({', '.join(map(str, [*places, *arguments]))});"

    def _steps(self, value: str) -> Steps:
        require_known(
            value in self.network.steps,
            f"what reads `{value}`, which is not rounded,",
            "a convolution or a dense layer first",
            IN_C,
        )
        return self.network.steps[value]

    def _place(self, value: str) -> str:
        return f"memory + {self.plan.offsets[value]}"

    def _factors(self, multipliers: NDArray[Any]) -> tuple[str, str]:
        pairs = [factor_of(float(multiplier)) for multiplier in multipliers]
        return self._array("int32", [factor for factor, _ in pairs]), self._array("int8", [shift for _, shift in pairs])

    def _array(self, dtype: str, values: ArrayLike) -> str:
        """The name in C of an array with these whole numbers."""
        given, bounds = np.asarray(values).reshape(-1), np.iinfo(dtype)
        is_inside = not given.size or bounds.min <= given.min() <= given.max() <= bounds.max
        require_known(
            bool(is_inside), f"a constant up to {np.abs(given).max(initial=0):g}", f"what fits into {dtype}", IN_C
        )
        array = given.astype(dtype)
        same = (
            label for label, other in self.arrays.items() if other.dtype == array.dtype and np.array_equal(other, array)
        )
        label = next(same, f"k{len(self.arrays)}")
        self.arrays[label] = array
        return f"NAME_{label}"

    def described(self) -> dict[str, dict[str, Any]]:
        """The arrays as the template shows them."""
        return {
            label: {"ctype": CTYPES[str(array.dtype)], "size": array.size,
                    "text": "\n  ".join(wrap(", ".join(map(str, array.tolist())), LINE, break_on_hyphens=False))}
            for label, array in self.arrays.items()
        }  # fmt: skip

    def sources(self) -> list[str]:
        """The C functions that are called; those of the last layer store sums as they are."""
        sources = []
        for kind, body in kernels_in("kernels_int8.c").items():
            if kind in self.used:
                sources.append(body.replace("OUT *", "int8_t *").replace("STORE(", "KERNEL_rounded("))
            if f"{kind}_sums" in self.used:
                last = body.replace(f"KERNEL_{kind}(", f"KERNEL_{kind}_sums(")
                sources.append(last.replace("OUT *", "int32_t *").replace("STORE(", "KERNEL_kept("))
        return sources


def _whole(values: NDArray[Any], steps: Steps) -> NDArray[Any]:
    """The int8 that stand for ``values``."""
    whole: NDArray[Any] = np.clip(np.rint(values / steps.scale) + steps.zero, LEAST, MOST)
    return whole


def _real_of(whole: NDArray[Any], steps: Steps) -> NDArray[Any]:
    """What int8 stand for."""
    values: NDArray[Any] = (whole - steps.zero) * steps.scale
    return values


def _curve(op: Op, values: NDArray[Any]) -> NDArray[Any]:
    """An activation; the sigmoid within a silu is rounded, as it is in the file."""
    curve: NDArray[Any] = np.tanh(values) if op.kind == "tanh" else 1 / (1 + np.exp(-values))
    if op.kind != "silu":
        return curve
    steps: Steps = op.settings["sigmoid"]
    silu: NDArray[Any] = values * _real_of(_whole(curve, steps), steps)
    return silu


def _slope(op: Op) -> int:
    """The slope below 0, in 1/2^24, of the rectifier that the operation is or has as its part; 1 without any."""
    slope: float = {"relu": 0.0, "leaky_relu": op.settings.get("alpha", 0.01)}.get(
        op.kind, op.settings.get("slope", 1.0)
    )
    require_known(abs(slope) < 2, f"leaky_relu with a slope of {slope:g}", "one between -2 and 2", IN_C)
    return round(slope * (1 << SLOPE_BITS))


def _real(setting: Any) -> NDArray[np.float64]:
    """The numbers that a constant of the file stands for."""
    if not isinstance(setting, tuple):
        return np.asarray(setting, float)
    values, scale = (np.asarray(part, float) for part in setting)
    real: NDArray[np.float64] = values * scale.reshape(-1, *[1] * (values.ndim - 1)) if scale.ndim else values * scale
    return real


def _affine(op: Op) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Factor and summand of each channel. Raises :class:`~paretune.errors.ExportError` for those of rows or columns."""
    constants = [_real(setting) for number, setting in op.settings.items() if number.isdigit()]
    if op.kind == "affine":
        scale, bias, mean, variance = constants
        factor = scale / np.sqrt(variance + op.settings.get("epsilon", 1e-5))
        return factor, bias - mean * factor
    shape = constants[0].shape
    by_map = shape[-len(op.shape) :] == (op.shape[0], *[1] * (len(op.shape) - 1))
    require_known(
        by_map or constants[0].size == 1, f"{op.kind} by constants of shape {shape}", "one for each map", IN_C
    )
    return (constants[0], np.zeros(1)) if op.kind == "mul" else (np.ones(1), constants[0])
