"""Looking several times, as a torch module: see :mod:`paretune.layers.views`."""

from collections.abc import Callable
from functools import reduce

from torch import Tensor, add, nn
from torch.nn.functional import pad

from paretune.layers.views import find_corners, find_reach


class Views(nn.Module):
    """``net``, which looks once at an image while it is trained, and ``views`` times (5
    or 13) in evaluation mode.

    The copies are moved by at most one or two pixels, along the sides of the image
    together; what comes in repeats its edge. The mean is that of the logits. It has no
    parameters and takes ``views`` times the multiply-accumulates. A signal, which
    ``is_flat``, is moved along its row alone, by as many pixels as it takes.
    """

    def __init__(self, net: nn.Module, views: int, *, is_flat: bool = False) -> None:
        super().__init__()
        self.net = net
        self.reach = find_reach(views, is_flat=is_flat)
        self.corners = find_corners(self.reach)

    def forward(self, images: Tensor) -> Tensor:
        """Logits ``(B, num_classes)`` of images ``(B, C, H, W)``."""
        return self.mean_by(self.net, images)

    def mean_by(self, forward: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
        """The mean of the logits that ``forward``, which computes ``net``, has for the
        views of the images.
        """
        if self.training:
            return forward(images)
        height, width = images.shape[2:]
        rows, columns = self.reach.rows, self.reach.columns
        padded = pad(images, [columns, columns, rows, rows], mode="replicate")
        logits = [
            forward(padded[:, :, row : row + height, column : column + width])
            for row, column in self.corners
        ]
        return reduce(add, logits) * (1 / len(logits))
