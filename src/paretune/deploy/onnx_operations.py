"""Each kind of operation as nodes of ONNX (https://onnx.ai/onnx/operators/)."""

import numpy as np
import torch

from paretune.deploy.onnx_file import LOGITS, OnnxFile
from paretune.deploy.onnx_node_writer import SIGMOID, NodeWriter
from paretune.layers.types import Shape
from paretune.operations import IMAGE, Graph, Node
from paretune.operations import types as ops

# One node on one value, without any settings.
BY_ONE_NODE: dict[type[ops.Operation], str] = {
    ops.Relu: "Relu",
    ops.Sigmoid: "Sigmoid",
    ops.Tanh: "Tanh",
}
# One node on two values.
OF_VALUES: dict[type[ops.Operation], str] = {
    ops.AddValues: "Add",
    ops.MultiplyValues: "Mul",
}
Norm = ops.BatchNorm | ops.GroupNorm | ops.InstanceNorm | ops.LayerNorm
ROWS_AND_COLUMNS = [2, 3]  # axes of a batch of maps
ANY = -1  # a side that follows from the others
SAME = 0  # a side that stays as it is


class UnwritableError(Exception):
    """An operation that is known by its name alone."""


def write_graph(graph: Graph) -> OnnxFile:
    """A graph as an ONNX file.

    Raises :class:`UnwritableError` for an operation that has no type of its own.
    """
    last = graph.nodes[-1]
    file = OnnxFile(graph.shapes[IMAGE], last.size)
    for node in graph.nodes:
        _OperationWriter(file, node, graph.shapes[node.inputs[0]]).write()
    _name_logits(file, last)
    return file


def _name_logits(file: OnnxFile, last: Node) -> None:
    """Have the values of the last node be the logits, in one dimension."""
    if len(last.shape) == 1:
        file.nodes[-1].output[:] = [LOGITS]
        return
    shape = file.add_constant(f"{LOGITS}_shape", [ANY, last.size])
    file.add_node(last.layer, "Reshape", [last.output, shape], LOGITS)


class _OperationWriter(NodeWriter):
    """Writes one operation."""

    def write(self) -> None:
        """Add the nodes and constants of the operation to the file."""
        operation = self.node.operation
        kind = type(operation)
        match operation:
            case ops.Conv():
                self._write_conv(operation)
            case ops.Linear():
                self._write_linear(operation)
            case ops.BatchNorm() | ops.GroupNorm() | ops.InstanceNorm():
                self._write_norm(operation)
            case ops.LayerNorm():
                self._write_layer_norm(operation)
            case ops.MaxPool():
                self._write_pool(operation)
            case ops.MeanPool(kernel=kernel, strides=strides):
                self.finish(
                    "AveragePool", [self.source], kernel_shape=kernel, strides=strides
                )
            case ops.Pad():
                self._write_pad(operation)
            case ops.Slice():
                self._write_slice(operation)
            case _ if kind in OF_VALUES:
                self.finish(OF_VALUES[kind], self.inputs)
            case _:
                self._write_by_value(operation)

    def _write_by_value(self, operation: ops.Operation) -> None:
        """An operation that is one node or two, and a constant at most."""
        kind = type(operation)
        match operation:
            case ops.Multiply(by=by):
                factor = self.add_weight("weight", by)
                self.finish("Mul", [self.source, factor])
            case ops.Add(by=by):
                summand = self.add_weight("bias", by)
                self.finish("Add", [self.source, summand])
            case ops.LeakyRelu(slope=slope):
                self.finish("LeakyRelu", [self.source], alpha=slope)
            case ops.PRelu(slopes=slopes):
                shape = self.find_shape_by_map(slopes.numel())
                slope_name = self.add_weight("weight", slopes, shape)
                self.finish("PRelu", [self.source, slope_name])
            case ops.Silu():
                sigmoid = self.add("Sigmoid", [self.source], SIGMOID)
                self.finish("Mul", [self.source, sigmoid])
            case ops.MeanOfMaps():
                self._write_mean()
            case ops.Concat():
                self.finish("Concat", self.inputs, axis=1)
            case _ if kind in BY_ONE_NODE:
                self.finish(BY_ONE_NODE[kind], [self.source])
            case _:
                raise UnwritableError(kind.__name__)

    def _write_conv(self, conv: ops.Conv) -> None:
        self.finish(
            "Conv",
            [self.source, *self._add_weight_and_bias(conv)],
            kernel_shape=conv.weight.shape[2:],
            strides=conv.strides,
            pads=[*conv.padding, *conv.padding],
            dilations=conv.dilation,
            group=conv.groups,
        )

    def _write_linear(self, linear: ops.Linear) -> None:
        source = self.source
        if len(self.shape_in) > 1:
            _, inputs = linear.weight.shape
            source = self.reshape(source, [ANY, inputs], "flat")
        weights = self._add_weight_and_bias(linear)
        self.finish("Gemm", [source, *weights], transB=1)

    def _add_weight_and_bias(self, layer: ops.Conv | ops.Linear) -> list[str]:
        names = [self.add_weight("weight", layer.weight)]
        if layer.bias is not None:
            names.append(self.add_weight("bias", layer.bias))
        return names

    def _write_norm(
        self, norm: ops.BatchNorm | ops.GroupNorm | ops.InstanceNorm
    ) -> None:
        maps = self.shape_in[0]
        match norm:
            case ops.BatchNorm(mean=mean, variance=variance):
                inputs = [
                    *self._add_scale_and_shift(norm, (maps,)),
                    self.add_weight("running_mean", mean),
                    self.add_weight("running_var", variance),
                ]
                kind = "BatchNormalization"
                self.finish(kind, [self.source, *inputs], epsilon=norm.eps)
            case ops.InstanceNorm():
                inputs = self._add_scale_and_shift(norm, (maps,))
                kind = "InstanceNormalization"
                self.finish(kind, [self.source, *inputs], epsilon=norm.eps)
            case ops.GroupNorm():
                self._write_group_norm(norm)

    def _write_group_norm(self, norm: ops.GroupNorm) -> None:
        """An instance norm of the groups, then a factor and a shift for each map."""
        ones = np.ones(norm.groups, np.float32)
        plain = [
            self.add_constant("ones", ones),
            self.add_constant("zeros", 0 * ones),
        ]
        by_map = self.find_shape_by_map(self.shape_in[0])
        factor, shift = self._add_scale_and_shift(norm, by_map)
        groups = self.reshape(self.source, [SAME, norm.groups, ANY], "grouped")
        inputs = [groups, *plain]
        kind = "InstanceNormalization"
        groups = self.add(kind, inputs, "groups", epsilon=norm.eps)
        maps = self.reshape(groups, [SAME, *self.shape_in], "normalised")
        scaled = self.add("Mul", [maps, factor], "scaled")
        self.finish("Add", [scaled, shift])

    def _write_layer_norm(self, norm: ops.LayerNorm) -> None:
        if norm.weight is None:
            ones = np.ones(self.shape_in, np.float32)
            inputs = [self.add_constant("ones", ones)]
        else:
            inputs = self._add_scale_and_shift(norm, self.shape_in)
        kind = "LayerNormalization"
        axis = -len(self.shape_in)  # all but the batch
        self.finish(kind, [self.source, *inputs], axis=axis, epsilon=norm.eps)

    def _add_scale_and_shift(self, norm: Norm, shape: Shape) -> list[str]:
        """The constants of a norm in this shape; 1 and 0 where it has none."""
        weight = torch.ones(shape) if norm.weight is None else norm.weight
        bias = torch.zeros(shape) if norm.bias is None else norm.bias
        return [
            self.add_weight("weight", weight, shape),
            self.add_weight("bias", bias, shape),
        ]

    def _write_pool(self, pool: ops.MaxPool) -> None:
        self.finish(
            "MaxPool",
            [self.source],
            kernel_shape=pool.kernel,
            strides=pool.strides,
            pads=[*pool.padding, *pool.padding],
            dilations=pool.dilation,
            ceil_mode=int(self._is_rounded_up(pool)),
        )

    def _is_rounded_up(self, pool: ops.MaxPool) -> bool:
        """Whether a window that stands out at the end of rows or columns counts."""
        _, rows, columns = self.node.shape
        most_rows, most_columns = _count_whole_windows(pool, self.shape_in)
        return rows > most_rows or columns > most_columns

    def _write_mean(self) -> None:
        axes = self.add_constant("axes", ROWS_AND_COLUMNS)
        keepdims = int(len(self.node.shape) > 1)
        self.finish("ReduceMean", [self.source, axes], keepdims=keepdims)

    def _write_pad(self, pad: ops.Pad) -> None:
        dimensions = len(self.shape_in)
        before = [pad.front, pad.top, pad.left][:dimensions]
        added = np.subtract(self.node.shape, self.shape_in)
        behind = added - before
        pads = self.add_constant("pads", [0, *before, 0, *behind])
        value = self.add_constant("value", np.float32(pad.value))
        mode = "edge" if pad.repeats_edge else "constant"
        self.finish("Pad", [self.source, pads, value], mode=mode)

    def _write_slice(self, part: ops.Slice) -> None:
        last = part.first + self.node.shape[part.dimension - 1]
        bounds = [
            self.add_constant("first", [part.first]),
            self.add_constant("last", [last]),
            self.add_constant("axis", [part.dimension]),
        ]
        self.finish("Slice", [self.source, *bounds])


def _count_whole_windows(pool: ops.MaxPool, shape_in: Shape) -> list[int]:
    """How many windows there are in rows and in columns, without any that stands
    out.
    """
    counts = []
    _, *sides = shape_in
    for axis, side in enumerate(sides):
        reach = pool.dilation[axis] * (pool.kernel[axis] - 1) + 1
        free = side + 2 * pool.padding[axis] - reach
        counts.append(free // pool.strides[axis] + 1)
    return counts
