"""A module that no layers describe, written as ONNX by torch's own exporter."""

import ast
import logging
import warnings

import torch
from onnx import ModelProto, NodeProto

from paretune.deploy.model import Deployable
from paretune.errors import ExportError, first_line


def export_module(model: Deployable) -> ModelProto:
    """The network as torch's exporter writes it, with nodes named after its modules.

    Raises :class:`~paretune.errors.ExportError` for one that it does not take.
    """
    proto = _export(model)
    for number, node in enumerate(proto.graph.node):
        node.name = f"{_find_layer(node)}/{node.op_type}_{number}"
        # The exporter's notes hold paths of this machine.
        node.ClearField("metadata_props")
    return proto


def _export(model: Deployable) -> ModelProto:
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
            f"network cannot be written as ONNX ({reason}); use operations that "
            "torch.onnx knows, for a batch of any size, and no choice by values"
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
