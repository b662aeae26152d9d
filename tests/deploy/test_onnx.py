"""An ONNX file that is written from layers: its names, its constants, its operations."""

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from paretune.deploy.onnx import write_onnx
from paretune.deploy.onnx_operations import UnwritableError, write_graph
from paretune.deploy.runtime import METADATA, Runtime
from paretune.operations import trace_graph


def test_nodes_values_and_weights_are_called_after_their_layers(deployable, tmp_path):
    model = deployable("model=conv", "model.norm=batch", "model.norm_first=false")
    write_onnx(model, tmp_path / "model.onnx", {})
    graph = onnx.load(tmp_path / "model.onnx").graph
    convolution, rectifier = graph.node[2:4]

    assert convolution.name == "conv1/Conv_2"
    assert list(convolution.input) == ["image_scaled", "conv1.weight", "conv1.bias"]
    assert list(convolution.output) == list(rectifier.input) == ["conv1"]
    assert graph.node[-1].output == ["logits"]


def test_a_layer_that_is_applied_several_times_is_stored_once(deployable, tmp_path):
    write_onnx(deployable("model=recurrent"), tmp_path / "model.onnx", {})
    graph = onnx.load(tmp_path / "model.onnx").graph
    name = "repeat1.shared.conv1.weight"

    assert [tensor.name for tensor in graph.initializer].count(name) == 1
    assert sum(name in node.input for node in graph.node) == 3


def test_a_norm_behind_a_convolution_is_part_of_it(deployable, tmp_path):
    model = deployable("model=conv", "model.norm=batch", "model.norm_first=true")
    write_onnx(model, tmp_path / "model.onnx", {})
    kinds = [node.op_type for node in onnx.load(tmp_path / "model.onnx").graph.node]

    assert "BatchNormalization" not in kinds


# What no family is made of.
MODULES = {
    "a pool that is rounded up": lambda x: nn.functional.max_pool2d(
        x, 3, 2, ceil_mode=True
    ),
    "a repeated edge": lambda x: nn.functional.pad(x, [1, 2, 0, 1], mode="replicate"),
    "a slice of rows": lambda x: x[:, :, 2:5],
    "gates": lambda x: x * torch.sigmoid(x) + torch.tanh(x) * 0.5,
    "a factor for each column": lambda x: x * torch.arange(1, 8),
    "means that keep their dimensions": lambda x: x.mean((2, 3), keepdim=True),
}


@pytest.mark.parametrize("what", MODULES)
def test_a_traced_module_gives_the_values_that_torch_gives(tmp_path, what):
    module = nn.Module()
    module.forward = MODULES[what]
    images = torch.rand(5, 2, 6, 7)
    proto = write_graph(trace_graph(module, (2, 6, 7))).to_model()
    onnx.helper.set_model_props(proto, {METADATA: "{}"})
    onnx.save(proto, tmp_path / "model.onnx")

    logits = Runtime(tmp_path / "model.onnx").logits(images.numpy())
    assert np.allclose(logits, module.forward(images).flatten(1), atol=1e-6)


def test_an_operation_without_a_type_is_not_written():
    module = nn.Module()
    module.forward = lambda x: torch.sort(x)[0]

    with pytest.raises(UnwritableError, match="Other"):
        write_graph(trace_graph(module, (2, 6, 7)))
