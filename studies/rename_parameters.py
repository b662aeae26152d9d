"""Rename the parameters of exported ``.safetensors`` files after their layers:
``layers.0.weight`` to ``conv1.weight``.

Files from before version 0.2.0 number their layers by position, those from then on name
them by kind. Run once over the models of the repository; files of one's own are renamed the
same way::

    python -m studies.rename_parameters sweeps/*/models/*.safetensors

A renamed file is kept only if its logits on random images are those of the ONNX file
beside it.
"""

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor, nn

from paretune import models
from paretune.data.images import Scaling
from paretune.deploy.model import WithScaling
from paretune.deploy.runtime import Runtime

# As networks listed them.
PARTS = ("entry", "repeated", "pools", "norms", "head", "layers", "branches", "joined")
# As layers listed them.
TENSORS = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
LARGEST_DIFFERENCE = 1e-3  # of logits, to the largest of them (or to 1)


def order_of(name: str) -> tuple[object, ...]:
    """What old names are sorted by, so that they are in the order in which networks
    listed them.
    """
    part, *numbers, tensor = name.removeprefix("net.").split(".")
    return PARTS.index(part), [int(number) for number in numbers], TENSORS.index(tensor)


def rename(tensors: Mapping[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """``tensors`` by the names that ``network`` has for them. Raises ``ValueError`` for
    tensors of other shapes.
    """
    old_names = sorted(tensors, key=order_of)
    expected = network.state_dict()
    renamed: dict[str, Tensor] = {}
    for (name, tensor), old_name in zip(expected.items(), old_names, strict=True):
        if tensor.shape != tensors[old_name].shape:
            raise ValueError(
                f"{old_name} has shape {tuple(tensors[old_name].shape)}, {name} "
                f"{tuple(tensor.shape)}"
            )
        renamed[name] = tensors[old_name]
    return renamed


def read_scaling(onnx_file: Path) -> Scaling:
    """What the images of an exported network are scaled by: the first two numbers of
    its ONNX file.
    """
    tensors = map(
        onnx.numpy_helper.to_array, onnx.load(str(onnx_file)).graph.initializer
    )
    factor, shift = [float(tensor) for tensor in tensors if tensor.ndim == 0][:2]
    std = 255 / factor
    return Scaling(mean=-shift * std, std=std)


def largest_difference(network: nn.Module, onnx_file: Path) -> float:
    """How far logits on random images are from those of an ONNX file, to the largest of
    them.
    """
    runtime = Runtime(onnx_file)
    scaling = read_scaling(onnx_file)
    images = np.random.default_rng(0).random(
        (64, *runtime.placing.shape), dtype=np.float32
    )
    with torch.inference_mode():
        logits = WithScaling(network, scaling).eval()(torch.from_numpy(images)).numpy()
    expected = runtime.logits(images)
    return float(np.abs(logits - expected).max() / max(1.0, np.abs(expected).max()))


def rename_file(path: Path) -> str:
    """Rename one file in place; returns what was done."""
    with safe_open(str(path), "pt") as file:
        metadata = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    network = models.build(json.loads(metadata["config"])["model"])
    if tensors.keys() == network.state_dict().keys():
        return "has its names already"
    renamed = rename(tensors, network)
    network.load_state_dict(renamed)
    difference = largest_difference(network, path.with_suffix(".onnx"))
    if difference > LARGEST_DIFFERENCE:
        return f"left as it is: its logits would differ by {difference:.2g}"
    path.write_bytes(save(renamed, metadata))
    return f"renamed; logits differ by {difference:.2g} of the largest"


def main() -> None:
    """Rename the files of the command line."""
    for name in sys.argv[1:]:
        print(re.sub(r".*/(?=sweeps/)", "", name), rename_file(Path(name)), flush=True)


if __name__ == "__main__":
    main()
