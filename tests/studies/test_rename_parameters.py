"""The models of the repository have the names of today, and say the same as their ONNX
files.
"""

import json

import pytest
import torch
from safetensors import safe_open
from studies.rename_parameters import LARGEST_DIFFERENCE, largest_difference, rename

from paretune import models, paths

FILES = sorted((paths.CONF.parent / "sweeps").glob("*/models/*.safetensors"))


@pytest.mark.parametrize(
    "path", FILES, ids=lambda path: f"{path.parts[-3]}-{path.stem}"
)
def test_an_exported_model_is_loaded_by_its_config(path):
    with safe_open(str(path), "pt") as file:
        network = models.build(json.loads(file.metadata()["config"])["model"])
        network.load_state_dict({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118 - no mapping

    assert largest_difference(network, path.with_suffix(".onnx")) < LARGEST_DIFFERENCE


def test_old_names_are_put_in_the_order_of_the_layers():
    model = {
        "_target_": "paretune.models.squeeze.Squeeze",
        "widths": [2],
        "padding": "same",
        "pool_after": [1],
    }
    network = models.build(model)
    old = {
        "layers.10.weight": "conv2.weight",
        "layers.2.running_var": "norm1.running_var",
        "layers.2.bias": "norm1.bias",
        "layers.0.weight": "conv1.weight",
        "layers.2.weight": "norm1.weight",
        "layers.2.running_mean": "norm1.running_mean",
        "layers.2.num_batches_tracked": "norm1.num_batches_tracked",
    }
    tensors = {name: network.state_dict()[new] for name, new in old.items()}

    renamed = rename(tensors, network)

    assert all(
        torch.equal(renamed[name], tensor)
        for name, tensor in network.state_dict().items()
    )
