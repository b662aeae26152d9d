"""ONNX: one file that any runtime takes, with a batch of any size."""

import ast
import json
import logging
import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from paretune.atomic import atomically
from paretune.deploy.model import Deployable, check_same_outputs
from paretune.deploy.onnx_views import average_views
from paretune.deploy.runtime import METADATA, Runtime
from paretune.errors import ExportError, first_line

LONG = 64  # numbers; shorter constants are stored as they are


def write_onnx(model: Deployable, path: Path, facts: Mapping[str, object]) -> float:
    """Write the file and compare it with torch on the samples; returns the largest
    difference of a logit.

    Its input is ``images`` ``(batch, C, H, W)`` in [0, 1], white on black as in MNIST;
    its output ``logits``. ``facts`` are kept in it as JSON. Raises
    :class:`~paretune.errors.ExportError`, and leaves no file, if the outputs differ.
    """
    proto = _trace(model.single_view)
    for number, node in enumerate(proto.graph.node):
        node.name = f"{_find_layer(node)}/{node.op_type}_{number}"
        # The exporter's notes hold paths of this machine.
        node.ClearField("metadata_props")
    _shorten_constants(proto)
    if model.net.views:
        proto = average_views(proto, model.net.views)
    helper.set_model_props(proto, {METADATA: json.dumps(facts)})
    with atomically(path) as partial:
        onnx.save(proto, str(partial))
        outputs = Runtime(partial).logits(model.samples.numpy())
        return check_same_outputs("ONNX", outputs, model.logits())


def _trace(model: Deployable) -> ModelProto:
    """What torch's exporter makes of the network. Raises
    :class:`~paretune.errors.ExportError` for one that it does not take.
    """
    # It misses torchvision, which nothing here needs.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                model.net,
                (model.samples[:2],),
                dynamo=True,
                dynamic_shapes=({0: torch.export.Dim("batch")},),
                input_names=["images"],
                output_names=["logits"],
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as error:
        reason = first_line(error.__cause__ or error)[:200]
        raise ExportError(
            f"network cannot be written as ONNX ({reason}); expected operations that "
            "torch.onnx knows, for any batch, "
            f"and no choice by values; change the model's code"
        ) from error
    assert program
    return program.model_proto


def _find_layer(node: NodeProto) -> str:
    """The name of the module that a node of a new file was made from; empty for those
    of none.
    """
    notes = {note.key: note.value for note in node.metadata_props}
    scopes = ast.literal_eval(notes.get("pkg.torch.onnx.name_scopes", "[]"))
    modules = scopes[:-1]  # from outside in; the last one is the operation
    return str(modules[-1]) if modules else ""


def _shorten_constants(proto: ModelProto) -> None:
    """Write what is one number over and over, such as the ones of a norm, as that
    number and a shape.

    Runtimes fill it in at load.
    """
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
