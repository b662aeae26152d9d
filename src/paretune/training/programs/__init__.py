"""Networks as programs of :mod:`paretune.batch_last`: from the layers of our own, from
a trace of any other.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from paretune.batch_last import (
    Builder,
    Library,
    Parameters,
    Program,
    UnknownLayerError,
    differentiate,
)
from paretune.models.network import Network
from paretune.training.programs.foreign import add_foreign
from paretune.training.programs.kernels import load_kernels
from paretune.training.programs.network import add_network

__all__ = ["BatchLast", "load_kernels"]


class BatchLast:
    """``net`` by the kernels, on the CPU in fp32: call it like the network itself, in
    training and in evaluation mode.

    Raises :class:`~paretune.batch_last.UnknownLayerError` if there are no kernels, or
    if they do not know a layer.
    """

    def __init__(self, net: nn.Module, image_shape: Sequence[int]) -> None:
        library = load_kernels()
        if library is None:
            raise UnknownLayerError("without kernels")
        self.net = net
        self.training_program = _make_program(net, image_shape, library, training=True)
        self.evaluation_program = _make_program(
            net, image_shape, library, training=False
        )

    def __call__(self, images: Tensor) -> Tensor:
        """Logits ``(B, classes)`` of float images ``(B, C, H, W)``."""
        if not self.net.training:
            return self.evaluation_program.forward(images)
        if not torch.is_grad_enabled():
            return self.training_program.forward(images)
        return differentiate(self.training_program, images)


def _make_program(
    net: nn.Module, image_shape: Sequence[int], library: Library, *, training: bool
) -> Program:
    trainable = [weight for weight in net.parameters() if weight.requires_grad]
    builder = Builder(image_shape, Parameters(trainable), training=training)
    if isinstance(net, Network):
        logits = add_network(builder, net)
    else:
        logits = add_foreign(builder, net)
    return Program(builder.finish(logits), library)
