"""Labelled images in memory, and how the training images are split.

Everything is uint8 until a batch reaches the device: MNIST is 47 MB.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from paretune.data.arrays import Arrays
from paretune.data.pictures import FitsBy
from paretune.data.signals import ValueRange
from paretune.data.splitting import Mask, Splitting, deal_folds, divide
from paretune.errors import ConfigError, DataError
from paretune.settings import check

__all__ = ["ImageData", "Images", "Scaling", "Splitting", "assemble", "make_images"]


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

    def to_fractions(self) -> NDArray[np.float32]:
        """The pixels ``(N, C, H, W)`` in [0, 1]."""
        fractions: NDArray[np.float32] = (self.pixels / 255).numpy()
        return fractions

    def take(self, rows: Tensor | slice | Mask) -> "Images":
        """Those rows alone."""
        if isinstance(rows, np.ndarray):
            rows = torch.from_numpy(rows)
        return Images(self.pixels[rows], self.labels[rows])

    def join(self, others: "Images") -> "Images":
        """These and then the others."""
        pixels = torch.cat([self.pixels, others.pixels])
        labels = torch.cat([self.labels, others.labels])
        return Images(pixels, labels)


def make_images(arrays: Arrays) -> Images:
    """The same as tensors."""
    pixels = np.ascontiguousarray(arrays.pixels)
    return Images(torch.from_numpy(pixels), torch.from_numpy(arrays.labels))


@dataclass(frozen=True)
class Scaling:
    """Pixels become (pixels - ``mean``) / ``std`` on the device, both in units of
    1/255.
    """

    mean: float
    std: float

    def __call__(self, images: Tensor) -> Tensor:
        """The same images, scaled in place."""
        return images.sub_(self.mean).div_(self.std)


@dataclass(frozen=True)
class ImageData:
    """A data set ready to train on. The test images are read only when somebody calls
    ``load_test``.
    """

    name: str
    train: Images
    val: Images
    load_test: Callable[[], Images]
    num_classes: int = 10
    class_names: tuple[str, ...] = ()
    fits_by: FitsBy = "ink"
    # Of signals, those that are the bytes 0 and 255.
    values: ValueRange | None = None

    def with_split(self, split: str, folds: int = 1) -> "ImageData":
        """The same with the ``test`` images in place of the validation ones, as many
        published recipes have it.

        Raises :class:`~paretune.errors.ConfigError` if there are no images to judge by;
        in ``folds`` the training images are.
        """
        if split == "test":
            return replace(self, val=self.load_test())
        if not len(self.val) and folds == 1:
            raise ConfigError(
                "data.splitting.val_size `0` leaves no images to choose by; set it to "
                "1 or more, or set selection.folds=5 or selection.split=test"
            )
        return self

    def make_folds(self, number: int) -> "list[ImageData]":
        """The training and validation images divided into ``number`` parts with equal
        shares of every class, always the same ones: each time another part is what
        validates, and the others train.

        Raises :class:`~paretune.errors.ConfigError` where a class has fewer images.
        """
        images = self.train.join(self.val)
        of_images = deal_folds(images.labels.numpy(), number)
        folds: list[ImageData] = []
        for fold in range(number):
            is_held_out = of_images == fold
            train = images.take(~is_held_out)
            folds.append(replace(self, train=train, val=images.take(is_held_out)))
        return folds

    def make_scaling(self, how: str) -> Scaling:
        """``standard``: mean 0 and deviation 1 over the training split; ``unit``: 0 to
        1.
        """
        check("trainer.scaling", how)
        if how == "unit":
            return Scaling(0.0, 255.0)
        return Scaling(self.mean, self.std)

    @cached_property
    def mean(self) -> float:
        """Mean of the training pixels, in units of 1/255."""
        values = torch.arange(256.0, dtype=torch.float64)
        return float(self._histogram @ values)

    @cached_property
    def std(self) -> float:
        """Standard deviation of the training pixels, in units of 1/255; 1 where all are
        equal.
        """
        values = torch.arange(256.0, dtype=torch.float64)
        squares = (values - self.mean) ** 2
        variance = self._histogram @ squares
        return float(variance.sqrt()) or 1.0

    @cached_property
    def _histogram(self) -> Tensor:
        """The share of the training pixels that has each value, ``(256,)``."""
        pixels = self.train.pixels.numpy().reshape(-1)
        counts = torch.from_numpy(np.bincount(pixels, minlength=256)).double()
        return counts / counts.sum()


def assemble(
    name: str,
    images: Mapping[str, Images],
    class_names: Sequence[str],
    splitting: Splitting,
    test_size: float,
    values: ValueRange | None = None,
) -> ImageData:
    """One's own ``images`` by split: ``train``, and where there are any ``val`` and
    ``test``; what is missing is drawn. Signals have a range of ``values``.

    Raises :class:`~paretune.errors.DataError` for images of several shapes, and as
    :func:`~paretune.data.splitting.divide` does.
    """
    shapes = {tuple(part.pixels.shape[1:]) for part in images.values()}
    if len(shapes) > 1:
        raise DataError(
            f"data `{name}` has images of the shapes {sorted(shapes)}; make them equal"
        )
    parts = divide(name, images, class_names, splitting, test_size)
    test = parts["test"]
    return ImageData(
        name,
        parts["train"],
        parts["val"],
        load_test=lambda: test,
        num_classes=len(class_names),
        class_names=tuple(class_names),
        fits_by="signal" if values else "stretch",
        values=values,
    )
