"""Labelled images in memory, and how the training images are split.

Everything is uint8 until a batch reaches the device: MNIST is 47 MB.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from sklearn.model_selection import train_test_split
from torch import Tensor

from paretune.errors import ConfigError, check_choice


@dataclass(frozen=True)
class Images:
    """Images uint8 ``(N, C, H, W)`` and their labels int64 ``(N,)``."""

    pixels: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device) -> "Images":
        """The same on ``device``."""
        return Images(self.pixels.to(device), self.labels.to(device))

    def take(self, rows: Tensor | slice) -> "Images":
        """Those rows alone."""
        return Images(self.pixels[rows], self.labels[rows])


@dataclass(frozen=True)
class Splitting:
    """How training images become a training and a validation split.

    ``last`` holds out the last ``val_size`` images, as Keras and most published recipes do; ``stratified`` draws them
    with equal shares of every class, from ``seed``; with ``val_size`` 0 there is none. ``train_size`` keeps that many of
    the rest (the first, or a stratified draw) for learning curves; ``None`` keeps all. With ``train_on_val`` the validation
    images train, too: for a last training, in which nothing is chosen by them.
    """

    val_size: int = 10_000
    how: str = "last"
    seed: int = 0
    train_size: int | None = None
    train_on_val: bool = False

    def split(self, images: Images) -> tuple[Images, Images]:
        """The training and the validation images."""
        no_image = torch.zeros(len(images), dtype=torch.bool)
        held_out = self._pick(images, self.val_size, "val_size") if self.val_size else no_image
        kept = images if self.train_on_val else images.take(~held_out)
        if self.train_size is not None and self.train_size != len(kept):
            kept = kept.take(self._pick(kept, self.train_size, "train_size"))
        return kept, images.take(held_out)

    def _pick(self, images: Images, size: int, name: str) -> Tensor:
        """A mask ``(N,)`` of the ``size`` images to hold out (``val_size``) or to keep (``train_size``)."""
        total = len(images)
        check_choice("data.splitting.how", self.how, ("last", "stratified"))
        if not 0 < size < total:
            raise ConfigError(
                f"data.splitting.{name} `{size}` does not fit {total:,} images; expected 1 to {total - 1:,}; "
                f"set data.splitting.{name}"
            )
        mask = torch.zeros(total, dtype=torch.bool)
        if self.how == "last":
            mask[slice(total - size, None) if name == "val_size" else slice(size)] = True
        else:
            labels = images.labels.numpy()
            _, drawn = train_test_split(np.arange(total), test_size=size, random_state=self.seed, stratify=labels)
            mask[torch.from_numpy(drawn)] = True
        return mask


@dataclass(frozen=True)
class Scaling:
    """What pixels become on the device: (pixels - ``mean``) / ``std``, both in units of 1/255."""

    mean: float
    std: float

    def __call__(self, images: Tensor) -> Tensor:
        """The same images, scaled in place."""
        return images.sub_(self.mean).div_(self.std)


@dataclass(frozen=True)
class ImageData:
    """A data set ready to train on. The test images are read only when somebody calls ``load_test``."""

    name: str
    train: Images
    val: Images
    load_test: Callable[[], Images]
    num_classes: int = 10

    def with_split(self, split: str) -> "ImageData":
        """The same with the ``test`` images in place of the validation ones, as many published recipes have it.

        Raises :class:`~paretune.errors.ConfigError` if there are no images to judge by.
        """
        if split == "test":
            return replace(self, val=self.load_test())
        if not len(self.val):
            raise ConfigError(
                "data.splitting.val_size `0` leaves nothing to choose by; expected at least 1, or selection.split=test"
            )
        return self

    def scaling(self, how: str) -> Scaling:
        """``standard``: mean 0 and deviation 1 over the training split; ``unit``: 0 to 1."""
        check_choice("trainer.scaling", how, ("standard", "unit"))
        return Scaling(self.mean, self.std) if how == "standard" else Scaling(0.0, 255.0)

    @cached_property
    def mean(self) -> float:
        """Mean of the training pixels, in units of 1/255."""
        return float(self._histogram @ torch.arange(256.0, dtype=torch.float64))

    @cached_property
    def std(self) -> float:
        """Standard deviation of the training pixels, in units of 1/255; 1 where all are equal."""
        squares = (torch.arange(256.0, dtype=torch.float64) - self.mean) ** 2
        return float((self._histogram @ squares).sqrt()) or 1.0

    @cached_property
    def _histogram(self) -> Tensor:
        counts = torch.from_numpy(np.bincount(self.train.pixels.numpy().reshape(-1), minlength=256)).double()
        return counts / counts.sum()
