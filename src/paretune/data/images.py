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
from paretune.data.splitting import Mask, Splitting, divided
from paretune.errors import ConfigError, DataError
from paretune.settings import check

__all__ = ["ImageData", "Images", "Scaling", "Splitting", "assembled", "images_of"]


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

    def fractions(self) -> NDArray[np.float32]:
        """The pixels ``(N, C, H, W)`` in [0, 1]."""
        fractions: NDArray[np.float32] = (self.pixels / 255).numpy()
        return fractions

    def take(self, rows: Tensor | slice | Mask) -> "Images":
        """Those rows alone."""
        if isinstance(rows, np.ndarray):
            rows = torch.from_numpy(rows)
        return Images(self.pixels[rows], self.labels[rows])

    def joined(self, others: "Images") -> "Images":
        """These and then the others."""
        pixels = torch.cat([self.pixels, others.pixels])
        return Images(pixels, torch.cat([self.labels, others.labels]))


def images_of(arrays: Arrays) -> Images:
    """The same as tensors."""
    return Images(
        torch.from_numpy(np.ascontiguousarray(arrays.pixels)),
        torch.from_numpy(arrays.labels),
    )


@dataclass(frozen=True)
class Scaling:
    """What pixels become on the device: (pixels - ``mean``) / ``std``, both in units of
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
    fits_by: str = (
        # How a picture of another size becomes such an image: cut to its ink and
        # centred, or by `resize`.
        "ink"
    )

    def with_split(self, split: str) -> "ImageData":
        """The same with the ``test`` images in place of the validation ones, as many
        published recipes have it.

        Raises :class:`~paretune.errors.ConfigError` if there are no images to judge by.
        """
        if split == "test":
            return replace(self, val=self.load_test())
        if not len(self.val):
            raise ConfigError(
                "data.splitting.val_size `0` leaves nothing to choose by; expected at "
                "least 1, or selection.split=test"
            )
        return self

    def scaling(self, how: str) -> Scaling:
        """``standard``: mean 0 and deviation 1 over the training split; ``unit``: 0 to
        1.
        """
        check("trainer.scaling", how)
        return (
            Scaling(self.mean, self.std) if how == "standard" else Scaling(0.0, 255.0)
        )

    @cached_property
    def mean(self) -> float:
        """Mean of the training pixels, in units of 1/255."""
        return float(self._histogram @ torch.arange(256.0, dtype=torch.float64))

    @cached_property
    def std(self) -> float:
        """Standard deviation of the training pixels, in units of 1/255; 1 where all are
        equal.
        """
        squares = (torch.arange(256.0, dtype=torch.float64) - self.mean) ** 2
        return float((self._histogram @ squares).sqrt()) or 1.0

    @cached_property
    def _histogram(self) -> Tensor:
        counts = torch.from_numpy(
            np.bincount(self.train.pixels.numpy().reshape(-1), minlength=256)
        ).double()
        return counts / counts.sum()


def assembled(
    name: str,
    images: Mapping[str, Images],
    class_names: Sequence[str],
    splitting: Splitting,
    test_size: float,
) -> ImageData:
    """One's own ``images`` by split: ``train``, and where there are any ``val`` and
    ``test``; what is missing is drawn.

    Raises :class:`~paretune.errors.DataError` for images of several shapes, and as
    :func:`~paretune.data.splitting.divided` does.
    """
    shapes = {tuple(part.pixels.shape[1:]) for part in images.values()}
    if len(shapes) > 1:
        raise DataError(
            f"data `{name}` has images of the shapes {sorted(shapes)}; expected one; "
            "make them equal"
        )
    parts = divided(name, images, class_names, splitting, test_size)
    test = parts["test"]
    return ImageData(
        name,
        parts["train"],
        parts["val"],
        load_test=lambda: test,
        num_classes=len(class_names),
        class_names=tuple(class_names),
        fits_by="resize",
    )
