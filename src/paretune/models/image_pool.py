"""Images pooled before the first layer, as torch has it: see
:mod:`paretune.layers.image_pool`.
"""

from collections import OrderedDict

from torch import nn


class Pooled(nn.Sequential):
    """``net``, which no layers describe, on images that are pooled over squares of
    ``image_pool`` pixels; on signals, which are ``is_flat``, over so many of a row.
    """

    def __init__(
        self, net: nn.Module, image_pool: int, *, is_flat: bool = False
    ) -> None:
        pool = nn.AvgPool2d((1, image_pool) if is_flat else image_pool)
        super().__init__(OrderedDict(pool=pool, net=net))
