"""Images pooled before the first layer, as torch has it: see
:mod:`paretune.layers.image_pool`.
"""

from collections import OrderedDict

from torch import nn

from paretune.layers.image_pool import find_image_pool
from paretune.models.network import Network


class Pooled(nn.Sequential):
    """``net``, which no layers describe, on images that are pooled over squares of
    ``image_pool`` pixels.
    """

    net: nn.Module

    def __init__(self, net: nn.Module, image_pool: int) -> None:
        pool = nn.AvgPool2d(image_pool)
        super().__init__(OrderedDict(pool=pool, net=net))
        self.image_pool = image_pool


def read_image_pool(net: nn.Module) -> int:
    """How many pixels along each side of an image ``net`` sees as one; it looks once."""
    match net:
        case Network():
            return find_image_pool(net.layers)
        case Pooled():
            return net.image_pool
        case _:
            return 1
