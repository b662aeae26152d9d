"""ONNX: one file that any runtime takes, with a batch of any size."""

import json
from collections.abc import Mapping
from pathlib import Path

import onnx
from onnx import ModelProto, helper

from paretune.atomic import atomically
from paretune.deploy.model import Deployable, check_same_outputs
from paretune.deploy.onnx_constants import shorten_constants
from paretune.deploy.onnx_exporter import export_module
from paretune.deploy.onnx_operations import write_graph
from paretune.deploy.onnx_views import average_views
from paretune.deploy.runtime import METADATA, Runtime
from paretune.operations import fold_norms


def write_onnx(model: Deployable, path: Path, facts: Mapping[str, object]) -> float:
    """Write the file and compare it with torch on the samples; returns the largest
    difference of a logit.

    Its input is ``images`` ``(batch, C, H, W)`` in [0, 1], white on black as in MNIST;
    its output ``logits``. ``facts`` are kept in it as JSON. Raises
    :class:`~paretune.errors.ExportError`, and leaves no file, if the outputs differ.
    """
    proto = _write_single_view(model)
    shorten_constants(proto)
    if model.net.views:
        proto = average_views(proto, model.net.views)
    with atomically(path) as partial:
        save_with_facts(proto, partial, facts)
        outputs = Runtime(partial).logits(model.samples.numpy())
        return check_same_outputs("ONNX", outputs, model.logits())


def _write_single_view(model: Deployable) -> ModelProto:
    """The network on one view: from its layers, or, where none describe it, from its
    module.
    """
    if not model.has_layers:
        return export_module(model.single_view)
    return write_graph(fold_norms(model.find_graph(), copies=False)).to_model()


def save_with_facts(proto: ModelProto, path: Path, facts: Mapping[str, object]) -> None:
    """Save a file with what its readers have to know beside its operations."""
    helper.set_model_props(proto, {METADATA: json.dumps(facts)})
    onnx.save(proto, str(path))
