"""Constants of an ONNX file that are one number over and over, such as the ones of a
norm: written as that number and a shape, which runtimes fill in at load.
"""

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

LONG = 64  # numbers; shorter constants are stored as they are


def shorten_constants(proto: ModelProto) -> None:
    """Write each long constant of one number as that number and a shape."""
    for tensor in list(proto.graph.initializer):
        numbers = numpy_helper.to_array(tensor)
        if numbers.size >= LONG and (numbers == numbers.flat[0]).all():
            _shorten(tensor, proto)


def _shorten(tensor: TensorProto, proto: ModelProto) -> None:
    numbers = numpy_helper.to_array(tensor)
    shape_name = f"{tensor.name}_shape"
    value = numpy_helper.from_array(numbers.reshape(-1)[:1])
    filled = helper.make_node(
        "ConstantOfShape", [shape_name], [tensor.name], value=value
    )
    proto.graph.initializer.remove(tensor)
    proto.graph.initializer.append(
        numpy_helper.from_array(np.array(numbers.shape), shape_name)
    )
    proto.graph.node.insert(0, filled)
