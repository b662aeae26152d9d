"""Batches straight from tensors in memory: no workers, no per-sample Python."""

from collections.abc import Iterator
from math import ceil

import torch
from torch import Tensor

from paretune.data.images import Images

__all__ = ["Feed"]


class Feed:
    """An iterable of pixels uint8 ``(B, C, H, W)`` and labels int64 ``(B,)``; the last batch may be smaller.

    With a ``generator`` each pass goes through a new permutation drawn from it; without one, in the stored order.
    """

    def __init__(self, images: Images, batch_size: int, generator: torch.Generator | None = None) -> None:
        self.images = images
        self.batch_size = batch_size
        self.generator = generator

    def __len__(self) -> int:
        return ceil(len(self.images) / self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        pixels, labels = self.images.pixels, self.images.labels
        if self.generator is None:
            yield from zip(torch.split(pixels, self.batch_size), torch.split(labels, self.batch_size), strict=True)
            return
        order = torch.randperm(len(labels), generator=self.generator).to(labels.device)
        for rows in torch.split(order, self.batch_size):
            yield pixels[rows], labels[rows]
