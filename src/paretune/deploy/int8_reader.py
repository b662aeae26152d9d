"""A quantised ONNX file, read back as operations on int8."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, numpy_helper

from paretune.deploy import int8_operations as ops
from paretune.deploy.int8_operations import (
    Constant,
    Int8Op,
    Joined,
    Quantised,
    Settings,
    Shape,
    Steps,
    WholeConstant,
)
from paretune.deploy.onnx_nodes import RESHAPES, find_scaling_nodes, read_layer
from paretune.operations import IMAGE

UINT8_OFFSET = 128  # the file has activations from 0 to 255
ONNX_LEAKY_SLOPE = 0.01  # that of a LeakyRelu which does not say it
# As the C functions are called.
KINDS = {
    "Conv": "conv2d",
    "Gemm": "linear",
    "MatMul": "linear",
    "MaxPool": "max_pool2d",
    "ReduceMean": "map_mean",
    "GlobalAveragePool": "map_mean",
    "LeakyRelu": "leaky_relu",
    "Relu": "relu",
    "Concat": "cat",
    "Sigmoid": "sigmoid",
    "Tanh": "tanh",
    "BatchNormalization": "affine",
    "LayerNormalization": "layer_norm",
}


def read_int8(path: Path) -> Quantised:
    """The operations of a file that :func:`~paretune.deploy.quantise.quantise`
    wrote.
    """
    return _Reader(onnx.load(str(path))).read()


@dataclass
class _Reader:
    """Follows the nodes of a file; ``roots`` are the values that others are reshaped or
    quantised forms of.
    """

    model: ModelProto
    roots: dict[str, str] = field(default_factory=dict)
    steps: dict[str, Steps] = field(default_factory=dict)
    constants: dict[str, Constant] = field(default_factory=dict)
    ops: list[Int8Op] = field(default_factory=list)

    def read(self) -> Quantised:
        """Read the whole file."""
        graph = self.model.graph
        for tensor in graph.initializer:
            self.constants[tensor.name] = numpy_helper.to_array(tensor)
        image = graph.input[0].name
        self.roots[image] = IMAGE
        scaled = set()
        for node in find_scaling_nodes(self.model):
            scaled.update(node.output)
        self.roots.update(dict.fromkeys(scaled, IMAGE))
        shapes = _infer_shapes(self.model)
        for node in graph.node:
            if node.output[0] not in scaled:
                self._follow(node, shapes)
        self._join_silus()
        return Quantised(tuple(self.ops), shapes[image], self.steps)

    def _follow(self, node: NodeProto, shapes: Mapping[str, Shape]) -> None:
        source = self._find_root(node.input[0])
        output = node.output[0]
        if node.op_type == "QuantizeLinear":
            self.roots[output] = source
            self.steps[source] = self._read_steps(node)
        elif node.op_type == "DequantizeLinear" and node.input[0] in self.constants:
            self.constants[output] = self._read_whole_constant(node)
        elif node.op_type == "DequantizeLinear" or node.op_type in RESHAPES:
            self.roots[output] = source
        elif node.op_type in JOINERS and self._is_unrounded(source):
            self._join(node, source)
        else:
            self._add(node, shapes[output])

    def _read_steps(self, node: NodeProto) -> Steps:
        scale = self._read_array(node.input[1])
        zero = self._read_array(node.input[2])
        return Steps(float(scale), int(zero) - UINT8_OFFSET)

    def _read_whole_constant(self, node: NodeProto) -> WholeConstant:
        values = self._read_array(node.input[0]).astype(np.int64)
        zeros = self._read_array(node.input[2]).astype(np.int64)
        # Each channel has the zero 0.
        return WholeConstant(values - zeros.min(), self._read_array(node.input[1]))

    def _read_array(self, name: str) -> NDArray[Any]:
        constant = self.constants[name]
        assert not isinstance(constant, WholeConstant)
        return constant

    def _add(self, node: NodeProto, shape: Shape) -> None:
        inputs = []
        constants: dict[int, Constant] = {}
        for number, name in enumerate(node.input):
            if name in self.roots:
                inputs.append(self.roots[name])
            if name in self.constants:
                constants[number] = self.constants[name]
        output = node.output[0]
        kind = KINDS.get(node.op_type, node.op_type.lower())
        if node.op_type not in KINDS and len(inputs) > 1:
            kind += "_values"
        settings = _read_settings(kind, constants, _read_attributes(node))
        self.roots[output] = output
        self.ops.append(
            Int8Op(kind, output, tuple(inputs), shape, settings, layer=read_layer(node))
        )

    def _is_unrounded(self, value: str) -> bool:
        """Whether an operation gave the value as it is, not in steps."""
        return value not in self.steps and any(op.output == value for op in self.ops)

    def _join(self, node: NodeProto, source: str) -> None:
        """Have the operation that made ``source``, which is not rounded, do what the
        node does, too.
        """
        outputs = [op.output for op in self.ops]
        number = outputs.index(source)
        before = self.ops[number]
        join = JOINERS[node.op_type]
        joined = join(
            before.joined, self.constants.get(node.input[-1]), _read_attributes(node)
        )
        self.ops[number] = replace(before, joined=joined)
        self.roots[node.output[0]] = source

    def _join_silus(self) -> None:
        """Have a value times its own sigmoid, if nothing else reads that, be one
        operation on it.
        """
        for sigmoid in list(self.ops):
            if sigmoid.kind == "sigmoid":
                self._join_silu(sigmoid)

    def _join_silu(self, sigmoid: Int8Op) -> None:
        readers = [op for op in self.ops if sigmoid.output in op.inputs]
        if len(readers) != 1:
            return
        product = readers[0]
        of_both = {sigmoid.output, *sigmoid.inputs}
        if product.kind != "mul_values" or set(product.inputs) != of_both:
            return
        curve = ops.Curve(self.steps.get(sigmoid.output))
        silu = replace(
            product, kind="silu", inputs=sigmoid.inputs, settings=curve, joined=Joined()
        )
        self.ops[self.ops.index(product)] = silu
        self.ops.remove(sigmoid)

    def _find_root(self, name: str) -> str:
        return self.roots.get(name, name)


def _infer_shapes(model: ModelProto) -> dict[str, Shape]:
    """The shape of every value by name, for one image."""
    graph = onnx.shape_inference.infer_shapes(model).graph
    shapes: dict[str, Shape] = {}
    for info in (*graph.value_info, *graph.output, *graph.input):
        sides = info.type.tensor_type.shape.dim[1:]
        shapes[info.name] = tuple(side.dim_value for side in sides)
    return shapes


def _read_attributes(node: NodeProto) -> dict[str, Any]:
    return {
        attribute.name: onnx.helper.get_attribute_value(attribute)
        for attribute in node.attribute
    }


Join = Callable[[Joined, Constant | None, Mapping[str, Any]], Joined]


def _join_rectifier(
    joined: Joined, constant: Constant | None, attributes: Mapping[str, Any]
) -> Joined:
    return replace(joined, slope=0.0)


def _join_leaky_rectifier(
    joined: Joined, constant: Constant | None, attributes: Mapping[str, Any]
) -> Joined:
    return replace(joined, slope=attributes.get("alpha", ONNX_LEAKY_SLOPE))


def _join_factor(
    joined: Joined, constant: Constant | None, attributes: Mapping[str, Any]
) -> Joined:
    return replace(joined, factor=constant)


def _join_summand(
    joined: Joined, constant: Constant | None, attributes: Mapping[str, Any]
) -> Joined:
    return replace(joined, added=constant)


JOINERS: dict[str, Join] = {
    "Relu": _join_rectifier,
    "LeakyRelu": _join_leaky_rectifier,
    "Mul": _join_factor,
    "Add": _join_summand,
}


def _read_settings(
    kind: str, constants: Mapping[int, Constant], attributes: Mapping[str, Any]
) -> Settings:
    """The settings of an operation by its constants, by the numbers of its inputs, and
    the attributes of its node.
    """
    match kind:
        case "conv2d" | "linear":
            return _read_weighted(kind, constants, attributes)
        case "max_pool2d":
            return ops.MaxPool(
                _read_window(attributes), bool(attributes.get("ceil_mode"))
            )
        case "map_mean":
            return ops.MeanOfMaps()
        case "relu":
            return ops.Rectifier(0.0)
        case "leaky_relu":
            return ops.Rectifier(attributes.get("alpha", ONNX_LEAKY_SLOPE))
        case "sigmoid" | "tanh":
            return ops.Curve()
        case "cat":
            return ops.Concat()
        case "add_values" | "mul_values":
            return ops.Combine()
    return _read_constants(kind, constants, attributes)


def _read_constants(
    kind: str, constants: Mapping[int, Constant], attributes: Mapping[str, Any]
) -> Settings:
    """The settings of an operation on one value and constants."""
    epsilon = attributes.get("epsilon", 1e-5)
    match kind, list(constants):
        case "affine", [1, 2, 3, 4]:
            return ops.BatchNorm(
                constants[1], constants[2], constants[3], constants[4], epsilon
            )
        case "mul", [_]:
            return ops.Scale(*constants.values())
        case "add", [_]:
            return ops.Offset(*constants.values())
        case "layer_norm", [1] | [1, 2]:
            return ops.LayerNorm(constants[1], constants.get(2), epsilon)
        case "slice", [1, 2, 3] | [1, 2, 3, 4]:
            return ops.Slice(_read_first(constants[1]), _read_first(constants[3]))
    return ops.Unknown()


def _read_weighted(
    kind: str, constants: Mapping[int, Constant], attributes: Mapping[str, Any]
) -> Settings:
    weight = constants.get(1)
    bias = constants.get(2)
    if not isinstance(weight, WholeConstant):
        return ops.Unknown()
    assert bias is None or isinstance(bias, WholeConstant)
    if kind == "linear":
        return ops.Linear(weight, bias, bool(attributes.get("transB")))
    return ops.Conv(weight, bias, _read_window(attributes), attributes.get("group", 1))


def _read_window(attributes: Mapping[str, Any]) -> ops.Window:
    kernel = tuple(attributes["kernel_shape"])
    ones = [1] * len(kernel)
    zeros = [0] * (2 * len(kernel))
    strides = tuple(attributes.get("strides", ones))
    pads = tuple(attributes.get("pads", zeros))
    dilations = tuple(attributes.get("dilations", ones))
    return ops.Window(kernel, strides, pads, dilations)


def _read_first(constant: Constant) -> int:
    return int(ops.find_reals(constant).flat[0])
