"""ONNX: one file that any runtime takes, with a batch of any size."""

import json
import logging
import warnings
from pathlib import Path

import onnx
import torch

from paretune.deploy.check import compared
from paretune.deploy.model import Deployable
from paretune.deploy.runtime import METADATA, Runtime

__all__ = ["write_onnx"]


def write_onnx(model: Deployable, path: Path, facts: dict[str, object]) -> float:
    """Write the file and compare it with torch on the samples; returns the largest difference of a logit.

    Its input is ``images`` ``(batch, C, H, W)`` in [0, 1], white on black as in MNIST; its output ``logits``. ``facts`` are kept
    in it as JSON. Raises :class:`~paretune.errors.ExportError`, and leaves no file, if the outputs differ.
    """
    partial = path.with_name(f"{path.name}.partial")
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it misses torchvision, which nothing here needs
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            model.net, (model.samples[:2],), dynamo=True, dynamic_shapes=({0: torch.export.Dim("batch")},),
            input_names=["images"], output_names=["logits"], verbose=False,
        )  # fmt: skip
    assert program
    proto = program.model_proto
    for node in proto.graph.node:
        node.ClearField("metadata_props")  # the exporter's notes hold paths of this machine
    onnx.helper.set_model_props(proto, {METADATA: json.dumps(facts)})
    onnx.save(proto, str(partial))
    try:
        difference = compared("ONNX", Runtime(partial).logits(model.samples.numpy()), model.logits())
    except Exception:
        partial.unlink()
        raise
    partial.replace(path)
    return difference
