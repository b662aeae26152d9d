"""A trained network in whole numbers: quantised by onnxruntime, and read back as operations on int8.

Weights have a scale for each channel, activations one each, with a zero point, calibrated on training images (Jacob et al. 2018,
https://arxiv.org/abs/1712.05877). The file is ONNX with pairs of QuantizeLinear and DequantizeLinear, which any runtime takes.
"""

import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, numpy_helper

from paretune.data import load
from paretune.data.images import Images
from paretune.deploy.model import Deployable, deployable
from paretune.deploy.onnx import Runtime, looking_often, write_onnx
from paretune.errors import ExportError
from paretune.front import Point
from paretune.graph import IMAGE, Graph, Op, Value
from paretune.paths import data_now, temporary_folder
from paretune.trust import Trust

LEAST, MOST = -128, 127
SIGN = 128  # the file has activations from 0 to 255
SCALING = ("Mul", "Add")  # of the image, which stay as they are: an image is quantised once
VIEWS = ("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Cast", "Dropout")
KINDS = {  # as the C functions are called
    "Conv": "conv2d", "Gemm": "linear", "MatMul": "linear", "MaxPool": "max_pool2d", "ReduceMean": "map_mean",
    "GlobalAveragePool": "map_mean", "LeakyRelu": "leaky_relu", "Relu": "relu", "Concat": "cat", "Sigmoid": "sigmoid",
    "Tanh": "tanh", "BatchNormalization": "affine", "LayerNormalization": "layer_norm",
}  # fmt: skip
JOINED = {
    "Relu": "slope",
    "LeakyRelu": "slope",
    "Mul": "factor",
    "Add": "added",
}  # what each is to the operation before it
ROUNDING = ("QuantizeLinear", "DequantizeLinear")
BOUNDED = ("Relu", "Clip")  # which onnxruntime leaves out: rounded values end at the bounds by themselves
CALIBRATED_AT_ONCE = 100  # images


def quantise(source: Path, path: Path, images: NDArray[np.float32]) -> None:
    """Write the ONNX file ``source`` in int8 to ``path``; activations are calibrated on ``images`` ``(N, C, H, W)`` in [0, 1].

    Raises :class:`~paretune.errors.ExportError`, and leaves no file, for a network whose values have no finite range. The logits stay float32: they are the sums of the last layer, not rounded to 256 steps.
    """
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with temporary_folder() as folder:
        plain, whole = folder / "plain.onnx", folder / "whole.onnx"
        quant_pre_process(str(source), str(plain), skip_symbolic_shape=True)  # batch norms join the convolutions before
        real = onnx.load(str(plain))
        _quantise_static(plain, whole, images, [node.name for node in _scaling(real)])
        model = onnx.load(str(whole))
    for node in model.graph.node:
        _check_range(node, model)
    for node in list(model.graph.node):
        _take_unrounded(node, model)
    if real.graph.node[-1].op_type not in BOUNDED:
        _leave_logits(model)
    del model.metadata_props[:]
    model.metadata_props.extend(onnx.load(str(source)).metadata_props)
    onnx.save(model, str(path))


def _quantise_static(plain: Path, whole: Path, images: NDArray[np.float32], left: list[str]) -> None:
    """Have onnxruntime write the file ``plain`` in int8 to ``whole``, the nodes ``left`` as they are."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Calibration(CalibrationDataReader):  # type: ignore[misc]
        """The images by the hundred."""

        def __init__(self) -> None:
            parts = np.split(images, range(CALIBRATED_AT_ONCE, len(images), CALIBRATED_AT_ONCE))
            self.parts: Iterator[dict[str, Any]] = iter([{"images": part} for part in parts])

        def get_next(self) -> dict[str, Any] | None:
            """The next hundred; ``None`` behind the last."""
            return next(self.parts, None)

    level = logging.getLogger().level
    logging.getLogger().setLevel(logging.ERROR)  # it asks for quant_pre_process, which was run
    try:
        with np.errstate(all="ignore"):  # infinite ranges are refused later
            quantize_static(
                str(plain), str(whole), Calibration(), quant_format=QuantFormat.QDQ, per_channel=True,
                nodes_to_exclude=left, activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
            )  # fmt: skip
    finally:
        logging.getLogger().setLevel(level)


def _scaling(model: ModelProto) -> list[NodeProto]:
    """The nodes that scale the image."""
    scaled: set[str] = {model.graph.input[0].name}
    nodes: list[NodeProto] = []
    for node in model.graph.node:
        if node.op_type in SCALING and scaled & set(node.input) and len(nodes) < len(SCALING):
            scaled |= set(node.output)
            nodes.append(node)
    return nodes


def _check_range(node: NodeProto, model: ModelProto) -> None:
    """Raise :class:`~paretune.errors.ExportError` if the node quantises what was infinite, such as a pad for maxima."""
    scales = [
        tensor
        for tensor in model.graph.initializer
        if node.op_type == "QuantizeLinear" and tensor.name == node.input[1]
    ]
    if not all(np.isfinite(numpy_helper.to_array(scale)).all() for scale in scales):
        maker = _maker(node.input[0], model)
        layer = (layer_of(maker) if maker else "").removeprefix("net.")
        raise ExportError(
            f"layer `{layer or node.input[0]}` gives values without a finite range; expected finite numbers, such as a pad "
            f"with zeros; export without --int8"
        )


def _take_unrounded(node: NodeProto, model: ModelProto) -> None:
    """Have a leaky rectifier, or what scales the result of a norm, take what comes before it as it is, not rounded to 256 steps.

    Deep networks lose several times as much without it: each layer would be rounded two to four times.
    """
    dequantised = _maker(node.input[0], model)
    quantised = _maker(dequantised.input[0], model) if dequantised else None
    before = _maker(quantised.input[0], model) if quantised else None
    if not (dequantised and quantised and before):
        return
    is_alone = all(len(_readers(maker.output[0], model)) == 1 for maker in (before, quantised, dequantised))
    is_of_one = node.op_type not in SCALING or _is_constant(node.input[1], model)
    if is_alone and is_of_one and node.op_type in _takes_unrounded(before, model):
        node.input[0] = before.output[0]
        _remove_unread(model)


def _takes_unrounded(node: NodeProto, model: ModelProto) -> tuple[str, ...]:
    """The kinds of operations that may be one with this node."""
    if node.op_type in ("Conv", "Gemm"):
        return ("LeakyRelu",)
    if node.op_type == "LayerNormalization":
        return ("Mul", "Add", "LeakyRelu")
    maker = _maker(node.input[0], model)
    is_of_norm = node.op_type in ("Mul", "Add") and maker and node.op_type in _takes_unrounded(maker, model)
    left = {"Mul": ("Add", "LeakyRelu"), "Add": ("LeakyRelu",)}
    return left[node.op_type] if is_of_norm else ()


def _is_constant(value: str, model: ModelProto) -> bool:
    maker = _maker(value, model)
    return (maker.input[0] if maker else value) in {tensor.name for tensor in model.graph.initializer}


def _maker(value: str, model: ModelProto) -> NodeProto | None:
    return next((node for node in model.graph.node if value in node.output), None)


def _readers(value: str, model: ModelProto) -> list[NodeProto]:
    return [node for node in model.graph.node if value in node.input]


def _leave_logits(model: ModelProto) -> None:
    """Have the last layer give the logits themselves, where they would be rounded first."""
    logits = model.graph.output[0].name
    first = node = _maker(logits, model)
    kept: list[NodeProto] = []  # the views behind the last layer, from the logits back, and that layer
    while node and (not kept or kept[-1].op_type in VIEWS):
        kept += [node] if node.op_type not in ROUNDING else []
        node = _maker(node.input[0], model)
    assert first
    first.output[0] = f"{logits}_rounded"
    for following, node in pairwise(kept):
        following.input[0] = node.output[0]
    kept[0].output[0] = logits
    _remove_unread(model)


def _remove_unread(model: ModelProto) -> None:
    """Remove nodes, and constants, that nothing reads any more."""
    wanted = {output.name for output in model.graph.output}
    for node in reversed(list(model.graph.node)):
        if wanted & set(node.output):
            wanted.update(node.input)
        else:
            model.graph.node.remove(node)
    for tensor in [tensor for tensor in model.graph.initializer if tensor.name not in wanted]:
        model.graph.initializer.remove(tensor)


@dataclass(frozen=True)
class Steps:
    """What the whole numbers ``q`` of a value stand for: ``(q - zero) * scale``."""

    scale: float
    zero: int


@dataclass(frozen=True)
class Quantised:
    """A quantised network: its operations, and the :class:`Steps` of every value by name, the image (scaled as in training) included.

    The last value has none: it is the logits, as sums.
    """

    graph: Graph
    steps: Mapping[str, Steps]


@dataclass
class _Reader:
    """Follows the nodes of a file; ``roots`` are the values that others are views or quantised forms of."""

    model: ModelProto
    roots: dict[str, str] = field(default_factory=dict)
    steps: dict[str, Steps] = field(default_factory=dict)
    constants: dict[str, Any] = field(default_factory=dict)
    ops: list[Op] = field(default_factory=list)

    def read(self) -> Quantised:
        """All of it."""
        self.constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in self.model.graph.initializer}
        scaling = [output for node in _scaling(self.model) for output in node.output]
        self.roots = dict.fromkeys([self.model.graph.input[0].name, *scaling], IMAGE)
        inferred = onnx.shape_inference.infer_shapes(self.model).graph
        shapes = {info.name: _shape(info) for info in (*inferred.value_info, *inferred.output, *inferred.input)}
        for node in self.model.graph.node:
            if node.output[0] not in scaling:
                self._follow(node, shapes)
        self._join_silus()
        image = shapes[self.model.graph.input[0].name]
        return Quantised(Graph(tuple(self.ops), {IMAGE: image, **{op.output: op.shape for op in self.ops}}), self.steps)

    def _follow(self, node: NodeProto, shapes: Mapping[str, tuple[int, ...]]) -> None:
        source, output = node.input[0], node.output[0]
        if node.op_type == "QuantizeLinear":
            scale, zero = (self.constants[name] for name in node.input[1:3])
            self.roots[output] = self._root(source)
            self.steps[self.roots[output]] = Steps(float(scale), int(zero) - SIGN)
        elif node.op_type == "DequantizeLinear" and source in self.constants:
            values, scales, zeros = (self.constants[name] for name in node.input)
            self.constants[output] = (
                values.astype(np.int64) - zeros.min().astype(np.int64),
                scales,
            )  # 0 for each channel
        elif node.op_type == "DequantizeLinear" or node.op_type in VIEWS:
            self.roots[output] = self._root(source)
        elif node.op_type in JOINED and self._root(source) in self._unrounded():
            self._join(node, self._root(source))
        else:
            inputs = [Value(self._root(name)) for name in node.input if name in self.roots]
            settings = {
                str(number): self.constants[name] for number, name in enumerate(node.input) if name in self.constants
            }
            settings |= {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}
            self.roots[output] = Value(output)
            kind = KINDS.get(node.op_type, node.op_type.lower() + ("_values" if len(inputs) > 1 else ""))
            layer = layer_of(node)
            self.ops.append(Op(kind, Value(output), tuple(inputs), shapes[output], settings, layer=layer))

    def _unrounded(self) -> set[str]:
        """What operations gave as it is, not in steps."""
        return {op.output for op in self.ops} - self.steps.keys()

    def _join(self, node: NodeProto, source: str) -> None:
        """What takes an output that was not rounded is part of the operation that made it."""
        number = next(number for number, op in enumerate(self.ops) if op.output == source)
        last = self.ops[number]
        alpha = {attribute.name: attribute.f for attribute in node.attribute}.get("alpha", 0.01)
        setting = self.constants.get(node.input[-1], 0.0 if node.op_type == "Relu" else alpha)
        settings = {**last.settings, JOINED[node.op_type]: setting}
        self.ops[number] = replace(last, settings=settings)
        self.roots[node.output[0]] = source

    def _join_silus(self) -> None:
        """A value times its own sigmoid, if nothing else reads that, is one operation on it."""
        for sigmoid in [op for op in self.ops if op.kind == "sigmoid"]:
            readers = [op for op in self.ops if sigmoid.output in op.inputs]
            product = readers[0]
            if (
                len(readers) == 1
                and product.kind == "mul_values"
                and set(product.inputs) == {sigmoid.output, *sigmoid.inputs}
            ):
                rounded = {"sigmoid": self.steps.get(sigmoid.output)}
                silu = replace(product, kind="silu", inputs=sigmoid.inputs, settings=rounded)
                self.ops[self.ops.index(product)] = silu
                self.ops.remove(sigmoid)

    def _root(self, name: str) -> str:
        return self.roots.get(name, name)


def layer_of(node: NodeProto) -> str:
    """The name of the module that a node of a file stands for, as :func:`~paretune.deploy.onnx.write_onnx` has named it."""
    return node.name.rpartition("/")[0]


def _shape(info: Any) -> tuple[int, ...]:
    return tuple(dim.dim_value for dim in info.type.tensor_type.shape.dim[1:])


def read_int8(path: Path) -> Quantised:
    """The operations of a file that :func:`quantise` wrote."""
    return _Reader(onnx.load(str(path))).read()


def write_int8(model: Deployable, source: Path, path: Path) -> Quantised:
    """Write ``model``, whose float file is ``source``, in int8 to ``path``; returns the operations of one look at an image.

    Raises :class:`~paretune.errors.ExportError` as :func:`quantise` does.
    """
    assert model.training
    images = model.training.fractions()
    if not model.net.views:
        quantise(source, path, images)
        return read_int8(path)
    with temporary_folder() as folder:
        plain, whole = folder / "plain.onnx", folder / "whole.onnx"
        write_onnx(model.once, plain, json.loads(onnx.load(str(source)).metadata_props[0].value))
        quantise(plain, whole, images)
        onnx.save(looking_often(onnx.load(str(whole)), model.net.views), str(path))
        return read_int8(whole)


def scores(path: Path, images: Images) -> dict[str, float]:
    """Macro F1 and accuracy, in [0, 1], of an exported ONNX file."""
    from sklearn.metrics import f1_score

    classes, labels = Runtime(path).logits(images.fractions()).argmax(1), images.labels.numpy()
    return {"f1": float(f1_score(labels, classes, average="macro")), "accuracy": float((classes == labels).mean())}


def scores_on_test(weights: Path, point: Point, trust: Trust | None = None) -> dict[str, float]:
    """Test F1 and accuracy of the network in a ``weights.pt``, quantised as ``paretune export --int8`` does."""
    model = deployable(weights, point, trust)
    data = load(data_now(model.point.config["data"]))
    with temporary_folder() as folder:
        plain, whole = folder / "model.onnx", folder / "model.int8.onnx"
        write_onnx(model, plain, {})
        write_int8(model, plain, whole)
        return {f"test_{name}": value for name, value in scores(whole, data.load_test()).items()}
