"""What is handed on: a trained network that takes plain images."""

import json
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from math import isnan
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from numpy.typing import NDArray
from safetensors.torch import save
from torch import Tensor, nn

from paretune.data import load as load_images
from paretune.data.images import Images, Scaling
from paretune.deploy.layout import Layout
from paretune.deploy.picture import INK
from paretune.errors import ExportError
from paretune.front import Point
from paretune.models.tracing import measure_network
from paretune.models.views import Views
from paretune.paths import data_now
from paretune.training import load as load_net
from paretune.trust import Trust

LARGEST_DIFFERENCE = 1e-4  # of logits, to the largest of them (or to 1)
SAMPLES = 1000  # test images on which outputs are compared; their labels are not read
CALIBRATION = 1000  # training images on which the ranges of int8 activations are measured


class WithScaling(nn.Module):
    """``net`` behind the scaling it was trained with: images ``(B, C, H, W)`` in [0, 1] to logits ``(B, classes)``."""

    def __init__(self, net: nn.Module, scaling: Scaling) -> None:
        super().__init__()
        self.net, self.factor, self.shift = net, 255 / scaling.std, -scaling.mean / scaling.std

    @property
    def views(self) -> Views | None:
        """The part that has the network look several times at an image, if there is one."""
        return self.net if isinstance(self.net, Views) else None

    def forward(self, images: Tensor) -> Tensor:
        """Logits of images in [0, 1]."""
        logits: Tensor = self.net(images * self.factor + self.shift)
        return logits


@dataclass(frozen=True)
class Deployable:
    """A trained network in evaluation mode, its point, and images of its data set to compare outputs on.

    ``samples`` are floats ``(N, C, H, W)`` in [0, 1], of the test images. ``training`` images are there to calibrate on, the
    ``validation`` images to measure. ``ink_share`` is how much of an image's side what it shows takes, where
    pictures are placed by their ink.
    """

    net: WithScaling
    point: Point
    samples: Tensor
    ink_share: float
    fits_by: str = "ink"
    class_names: tuple[str, ...] = ()
    training: Images | None = None
    validation: Images | None = None

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""
        channels, height, width = self.samples.shape[1:]
        return channels, height, width

    def layout(self, classes: int) -> Layout:
        """What the numbers of an image stand for; the names of ``classes`` without any are their numbers."""
        is_ink = self.fits_by == "ink" and self.image_shape[0] == 1
        names = self.class_names or [str(number) for number in range(classes)]
        return Layout(*self.image_shape, is_ink=is_ink, class_names=names)

    @property
    def once(self) -> "Deployable":
        """The same, whose network looks once at an image."""
        if not self.net.views:
            return self
        net = deepcopy(self.net)
        net.net = self.net.views.net
        return replace(self, net=net)

    def logits(self) -> NDArray[np.float32]:
        """What torch makes of the samples ``(N, classes)``."""
        with torch.inference_mode():
            outputs: NDArray[np.float32] = self.net(self.samples).numpy()
        return outputs


def deployable(weights: Path, point: Point, trust: Trust | None = None) -> Deployable:
    """The network in a ``weights.pt`` that a training left, whose scores are those of ``point``.

    Raises :class:`~paretune.errors.StoreError` for a file whose config names other code than ``trust`` allows.
    """
    net, config, scaling = load_net(weights, trust)
    data = load_images(data_now(config["data"]))
    samples = data.load_test().pixels[:SAMPLES] / 255
    ink = ink_share(data.train.take(slice(SAMPLES))) if data.fits_by == "ink" else 1.0
    images = (samples, ink, data.fits_by, data.class_names, data.train.take(slice(CALIBRATION)), data.val)
    return Deployable(WithScaling(net, scaling).eval(), replace(point, config=config, seed=config["seed"]), *images)


def ink_share(images: Images) -> float:
    """The median over images of (longer side of the box round the ink) / (shorter side of the image); 1 for empty ones.

    A picture of another size is placed with the same margin.
    """
    bright = (images.pixels.amax(dim=1) > INK * 255).numpy()
    boxes = [max(_extent(image.any(axis=0)), _extent(image.any(axis=1))) for image in bright]
    return float(np.median(boxes) / min(bright.shape[1:])) if any(boxes) else 1.0


def _extent(line: NDArray[np.bool_]) -> int:
    inked = np.flatnonzero(line)
    return int(inked[-1] - inked[0] + 1) if inked.size else 0


def check_same_outputs(what: str, outputs: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    """Largest absolute difference of two sets of logits ``(N, classes)``.

    Raises :class:`~paretune.errors.ExportError` if it is over 1e-4 of the largest logit (or of 1), or any image would get
    another class.
    """
    difference = float(np.abs(outputs - expected).max()) if outputs.shape == expected.shape else float("inf")
    others = int((outputs.argmax(1) != expected.argmax(1)).sum()) if difference < float("inf") else len(expected)
    bound = LARGEST_DIFFERENCE * max(1.0, float(np.abs(expected).max(initial=0.0)))
    if not difference <= bound or others:
        raise ExportError(
            f"{what} differs from torch by {difference:.2g} and gives {others} of {len(expected)} images another class; "
            f"expected at most {bound:.2g} and none; the file is not kept; please report the model's config"
        )
    return difference


def costs(model: Deployable) -> dict[str, str]:
    """What one inference takes, in words."""
    counted = measure_network(model.net.net, model.image_shape)
    if isnan(counted.macs):
        return {"MACs per image": "not counted, the network does not run on one image"}
    return {
        "MACs per image": f"{counted.macs:,}",
        "RAM": f"{counted.ram_bytes:,} bytes as float32: the scaled image and the activations",
        "flash for weights": f"{counted.flash_bytes:,} bytes as float32; the code comes on top",
    }


def shared_config(point: Point) -> dict[str, Any]:
    """The config of a point without the folders that this machine has its data and its teacher in."""
    config = dict(point.config)
    if "data" in config:
        config["data"] = {name: value for name, value in config["data"].items() if name != "root"}
    distillation = config.get("trainer", {}).get("distillation", {})
    if teacher := distillation.get("teacher"):
        config["trainer"] = {**config["trainer"], "distillation": {**distillation, "teacher": Path(teacher).name}}
    return config


def write_safetensors(model: Deployable, path: Path) -> None:
    """The state dict of the network alone, its config as metadata (https://github.com/huggingface/safetensors)."""
    config = json.dumps(shared_config(model.point))
    tensors = {name: value.contiguous() for name, value in model.net.net.state_dict().items()}
    path.write_bytes(save(tensors, {"config": config}))  # save_file makes files that nobody else may read


def write_card(model: Deployable, path: Path, facts: Mapping[str, str], commands: Sequence[str]) -> None:
    """Markdown: ``facts`` as a table, the config, and the ``commands`` that made it."""
    point = model.point
    rows = "\n".join(f"| {name} | {value} |" for name, value in facts.items())
    config = yaml.safe_dump(shared_config(point), sort_keys=False)
    made = "\n".join(commands)
    layout = model.layout(model.logits().shape[1])
    shape = f"(batch, {layout.channels}, {layout.height}, {layout.width})"
    path.write_text(
        f"""# {point.family}, {point.params:,} parameters, {point.data}

Trained with Paretune. Its input is `images`, `{shape}`, in [0, 1]{layout.ground}: {layout.order}.
The C functions that take bytes take the same values in the same order, 0 to 255.
Its output is `logits`, the largest of which is the class: {layout.classes}.

| | |
|---|---|
{rows}

## How it was made

```
{made}
```

```yaml
{config}```
""",
        encoding="utf-8",
        errors="backslashreplace",
    )
