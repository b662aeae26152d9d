"""ONNX: one file that any runtime takes, with a batch of any size."""

import ast
import json
import logging
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from paretune.atomic import atomically
from paretune.deploy.picture import Placing
from paretune.errors import ExportError, StoreError, first_line

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

    from paretune.deploy.model import Deployable
    from paretune.models.views import Views

METADATA = "paretune"  # key of the facts that a reader of the file needs
BATCH = 256
LONG = 64  # numbers; shorter constants are stored as they are


class Runtime:
    """A model that paretune export wrote; ``placing`` of pictures and ``class_names`` as in training.

    Raises :class:`~paretune.errors.StoreError` for any other file.
    """

    def __init__(self, path: Path) -> None:
        try:
            options = onnxruntime.SessionOptions()
            # its further optimisations let sums of int8 products overflow on processors without VNNI
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
            self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
            facts = json.loads(self.session.get_modelmeta().custom_metadata_map[METADATA])
        except Exception as error:  # onnxruntime has an error class for each of its return codes
            reason = first_line(error).rpartition(" failed:")[2] if path.is_file() else "no such file"
            reason = "it is of another program" if isinstance(error, KeyError) else reason
            raise StoreError(
                f"model `{path}` cannot be read ({reason}); expected a file that paretune export wrote; check the path"
            ) from error
        channels, height, width = self.session.get_inputs()[0].shape[1:]
        ways = {"fits_by": facts.get("fits_by", "ink"), "ink_share": facts.get("ink_share", 1.0)}
        self.placing = Placing((channels, height, width), **ways)
        classes = self.session.get_outputs()[0].shape[-1]
        self.class_names: list[str] = facts.get("class_names") or [str(number) for number in range(classes)]

    def logits(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Logits ``(N, classes)`` of images ``(N, C, H, W)`` in [0, 1]."""
        parts = np.split(images, range(BATCH, len(images), BATCH))
        return np.concatenate([self.session.run(["logits"], {"images": part})[0] for part in parts])

    def probabilities(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Probabilities ``(N, classes)`` of images ``(N, C, H, W)`` in [0, 1]."""
        logits = self.logits(images)
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        shares: NDArray[np.float32] = powers / powers.sum(axis=1, keepdims=True)
        return shares


def write_onnx(model: "Deployable", path: Path, facts: dict[str, object]) -> float:
    """Write the file and compare it with torch on the samples; returns the largest difference of a logit.

    Its input is ``images`` ``(batch, C, H, W)`` in [0, 1], white on black as in MNIST; its output ``logits``. ``facts`` are kept
    in it as JSON. Raises :class:`~paretune.errors.ExportError`, and leaves no file, if the outputs differ.
    """
    import onnx
    import torch

    from paretune.deploy.model import check_same_outputs

    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it misses torchvision, which nothing here needs
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            program = torch.onnx.export(
                model.once.net, (model.samples[:2],), dynamo=True, dynamic_shapes=({0: torch.export.Dim("batch")},),
                input_names=["images"], output_names=["logits"], verbose=False,
            )  # fmt: skip
        except torch.onnx.OnnxExporterError as error:
            raise ExportError(
                f"network cannot be written as ONNX ({first_line(error.__cause__ or error)[:200]}); expected operations that "
                f"torch.onnx knows, for any batch, and no choice by values; change the model's code"
            ) from error
    assert program
    proto = program.model_proto
    for number, node in enumerate(proto.graph.node):
        node.name = f"{_layer_of(node)}/{node.op_type}_{number}"
        node.ClearField("metadata_props")  # the exporter's notes hold paths of this machine
    _shorten(proto)
    proto = looking_often(proto, model.net.views) if model.net.views else proto
    onnx.helper.set_model_props(proto, {METADATA: json.dumps(facts)})
    with atomically(path) as partial:
        onnx.save(proto, str(partial))
        return check_same_outputs("ONNX", Runtime(partial).logits(model.samples.numpy()), model.logits())


def _layer_of(node: "NodeProto") -> str:
    """The name of the module that a node of a new file was made from; empty for those of none."""
    notes = {note.key: note.value for note in node.metadata_props}
    modules = ast.literal_eval(notes.get("pkg.torch.onnx.name_scopes", "[]"))[
        :-1
    ]  # from outside in, then the operation
    return str(modules[-1]) if modules else ""


def looking_often(once: "ModelProto", views: "Views") -> "ModelProto":
    """A file like ``once``, which looks once at an image, that looks as often as ``views`` do: the copies are one batch of it."""
    from onnx import ModelProto, helper, numpy_helper

    proto = ModelProto()
    proto.CopyFrom(once)
    (height, width), classes = _sides(once.graph.input[0])[2:], _sides(once.graph.output[0])[1]
    for node in proto.graph.node:
        node.input[:] = ["copies" if name == "images" else name for name in node.input]
        node.output[:] = ["logits_of_copies" if name == "logits" else name for name in node.output]
    copies = [f"copy_{number}" for number in range(len(views.corners))]
    numbers = {
        "pads": [0, 0, views.reach, views.reach] * 2,
        "sides": [2, 3],
        "by_copy": [len(copies), -1, classes],
        "over": [0],
    }
    before = [helper.make_node("Pad", ["images", "pads"], ["padded"], mode="edge")]
    for copy, (row, column) in zip(copies, views.corners, strict=True):
        numbers |= {f"{copy}_from": [row, column], f"{copy}_to": [row + height, column + width]}
        before.append(helper.make_node("Slice", ["padded", f"{copy}_from", f"{copy}_to", "sides"], [copy]))
    after = [
        helper.make_node("Reshape", ["logits_of_copies", "by_copy"], ["logits_by_copy"]),
        helper.make_node("ReduceMean", ["logits_by_copy", "over"], ["logits"], keepdims=0),
    ]
    nodes = [*before, helper.make_node("Concat", copies, ["copies"], axis=0), *proto.graph.node, *after]
    del proto.graph.node[:], proto.graph.value_info[:]
    proto.graph.node.extend(nodes)
    proto.graph.initializer.extend(numpy_helper.from_array(np.array(value), name) for name, value in numbers.items())
    return proto


def _sides(value: Any) -> list[int]:
    return [side.dim_value for side in value.type.tensor_type.shape.dim]


def _shorten(proto: "ModelProto") -> None:
    """Write what is one number over and over, such as the ones of a norm, as that number and a shape; runtimes fill it in at load."""
    from onnx import helper, numpy_helper

    for tensor in list(proto.graph.initializer):
        numbers = numpy_helper.to_array(tensor)
        if numbers.size >= LONG and (numbers == numbers.flat[0]).all():
            proto.graph.initializer.remove(tensor)
            proto.graph.initializer.append(numpy_helper.from_array(np.array(numbers.shape), f"{tensor.name}_shape"))
            value = numpy_helper.from_array(numbers.reshape(-1)[:1])
            filled = helper.make_node("ConstantOfShape", [f"{tensor.name}_shape"], [tensor.name], value=value)
            proto.graph.node.insert(0, filled)
