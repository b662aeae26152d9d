"""The model that is exported: a trained network that takes plain images."""

from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from paretune.data import load as load_images
from paretune.data.images import Images, Scaling
from paretune.data.pictures import FitsBy
from paretune.data.signals import ValueRange
from paretune.deploy.c_input import DEFAULT_INPUT, CInput
from paretune.deploy.ink import measure_ink_share
from paretune.deploy.layout import Layout
from paretune.errors import ExportError
from paretune.front import Point
from paretune.models.network import Network
from paretune.models.views import Views
from paretune.operations import Graph, build_graph, scale_image, trace_graph
from paretune.paths import data_now
from paretune.training import load as load_net
from paretune.trust import Trust

LARGEST_DIFFERENCE = 1e-4  # of logits, to the largest of them (or to 1)
SAMPLES = 1000  # test images on which outputs are compared; their labels are not read
# Training images on which the ranges of int8 activations are measured.
CALIBRATION = 1000


class WithScaling(nn.Module):
    """``net`` behind the scaling it was trained with: images ``(B, C, H, W)`` in [0, 1]
    to logits ``(B, classes)``.
    """

    def __init__(self, net: nn.Module, scaling: Scaling) -> None:
        super().__init__()
        self.net = net
        self.factor = 255 / scaling.std
        self.shift = -scaling.mean / scaling.std

    @property
    def views(self) -> Views | None:
        """The part that averages over several views of an image, if there is one."""
        return self.net if isinstance(self.net, Views) else None

    def forward(self, images: Tensor) -> Tensor:
        """Logits of images in [0, 1]."""
        logits: Tensor = self.net(images * self.factor + self.shift)
        return logits


@dataclass(frozen=True)
class Deployable:
    """A trained network in evaluation mode, its point, and images of its data set to
    compare outputs on.

    ``samples`` are floats ``(N, C, H, W)`` in [0, 1], of the test images. ``training``
    images are there to calibrate on, the ``validation`` images to measure.
    ``ink_share`` is how much of an image's side what it shows takes, where pictures are
    placed by their ink.
    """

    net: WithScaling
    point: Point
    samples: Tensor
    ink_share: float
    fits_by: FitsBy = "ink"
    class_names: tuple[str, ...] = ()
    training: Images | None = None
    validation: Images | None = None
    values: ValueRange | None = None

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""
        channels, height, width = self.samples.shape[1:]
        return channels, height, width

    def layout(self, classes: int, c_input: CInput = DEFAULT_INPUT) -> Layout:
        """The meaning of the numbers of an image in the order of ``c_input``; by
        default in that of ONNX. The names of ``classes`` without any are their numbers.
        """
        is_ink = self.fits_by == "ink" and self.image_shape[0] == 1
        names = self.class_names or [str(number) for number in range(classes)]
        return Layout(*self.image_shape, is_ink, names, self.values, c_input)

    @property
    def single_view(self) -> "Deployable":
        """The same, whose network sees an image as it is alone."""
        if not self.net.views:
            return self
        net = deepcopy(self.net)
        net.net = self.net.views.net
        return replace(self, net=net)

    @property
    def has_layers(self) -> bool:
        """Whether layers describe the network; else it is somebody's own module."""
        return isinstance(self.single_view.net.net, Network)

    def find_graph(self) -> Graph:
        """The operations on one view of an image in [0, 1]."""
        return scale_image(self.find_scaled_graph(), self.net.factor, self.net.shift)

    def find_scaled_graph(self) -> Graph:
        """The operations on one view of a scaled image: from the layers of the network,
        or, where none describe it, from a trace.
        """
        network = self.single_view.net.net
        if isinstance(network, Network):
            return build_graph(network, network.layers, network.image_shape)
        return trace_graph(network, self.image_shape)

    def logits(self) -> NDArray[np.float32]:
        """Torch's logits of the samples ``(N, classes)``."""
        return self.logits_of(self.samples)

    def logits_of(self, images: Tensor) -> NDArray[np.float32]:
        """Torch's logits ``(N, classes)`` of images ``(N, C, H, W)`` in [0, 1]."""
        with torch.inference_mode():
            outputs: NDArray[np.float32] = self.net(images).numpy()
        return outputs


def load_deployable(
    weights: Path, point: Point, trust: Trust | None = None
) -> Deployable:
    """The network in a ``weights.pt`` that a training left, whose scores are those of
    ``point``.

    Raises :class:`~paretune.errors.StoreError` for a file whose config names other code
    than ``trust`` allows.
    """
    net, config, scaling = load_net(weights, trust)
    data = load_images(data_now(config["data"]))
    ink_share = 1.0
    if data.fits_by == "ink":
        ink_share = measure_ink_share(data.train.take(slice(SAMPLES)))
    return Deployable(
        net=WithScaling(net, scaling).eval(),
        point=replace(point, config=config, seed=config["seed"]),
        samples=data.load_test().pixels[:SAMPLES] / 255,
        ink_share=ink_share,
        fits_by=data.fits_by,
        values=data.values,
        class_names=data.class_names,
        training=data.train.take(slice(CALIBRATION)),
        validation=data.val,
    )


def count_same_classes(
    classes: NDArray[np.integer[Any]], logits: NDArray[np.float32]
) -> int:
    """Images whose class among ``classes`` ``(N,)`` has the most of their ``logits``
    ``(N, classes)``.

    Two logits that differ by at most 1e-4 of the largest one of all tie: whole numbers
    often do, and the last digits of ONNX Runtime's floats then choose one.
    """
    tie = LARGEST_DIFFERENCE * float(np.abs(logits).max(initial=0.0))
    chosen = np.take_along_axis(logits, classes[:, None], axis=1)[:, 0]
    is_largest = chosen >= logits.max(axis=1) - tie
    return int(is_largest.sum())


def find_bound(expected: NDArray[np.float32]) -> float:
    """How much a logit may differ from one of the ``expected`` ones."""
    largest_logit = float(np.abs(expected).max(initial=0.0))
    return LARGEST_DIFFERENCE * max(1.0, largest_logit)


def check_same_outputs(
    what: str, outputs: NDArray[np.float32], expected: NDArray[np.float32]
) -> float:
    """Largest absolute difference of two sets of logits ``(N, classes)``.

    Raises :class:`~paretune.errors.ExportError` if it is over 1e-4 of the largest logit
    (or of 1), or any image would get another class; of classes that tie, any will do.
    """
    difference = float("inf")
    n_others = len(expected)
    if outputs.shape == expected.shape:
        difference = float(np.abs(outputs - expected).max())
    if difference < float("inf"):
        n_others -= count_same_classes(outputs.argmax(1), expected)
    bound = find_bound(expected)
    is_near = difference <= bound  # not if it is no number
    if not is_near or n_others:
        raise ExportError(
            f"{what} differs from torch by {difference:.2g} and gives {n_others} of "
            f"{len(expected)} images another class; at most {bound:.2g} and no other "
            "class are allowed, so the file is not kept; please report the model's "
            "config"
        )
    return difference
