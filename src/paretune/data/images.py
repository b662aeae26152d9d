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

from paretune.errors import ConfigError, DataError, check_least
from paretune.settings import check


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

    def take(self, rows: Tensor | slice) -> "Images":
        """Those rows alone."""
        return Images(self.pixels[rows], self.labels[rows])


@dataclass(frozen=True)
class Splitting:
    """How training images become a training and a validation split.

    ``last`` holds out the last ``val_size`` images, as Keras and most published recipes do; ``stratified`` draws them
    with equal shares of every class, from ``seed``; with ``val_size`` 0 there is none, below 1 it is a share of the images.
    ``train_size`` keeps that many of the rest (the first, or a stratified draw) for learning curves; ``None`` keeps all. With ``train_on_val`` the validation
    images train, too: for a last training, in which nothing is chosen by them.
    """

    val_size: float = 10_000
    how: str = "last"
    seed: int = 0
    train_size: int | None = None
    train_on_val: bool = False

    def split(self, images: Images, val: Images | None = None) -> tuple[Images, Images]:
        """The training and the validation images; given validation images, ``val``, hold out no others."""
        kept = images
        if val is None:
            held_out = torch.zeros(len(images), dtype=torch.bool)
            if self.val_size:
                held_out = self._pick(images, whole(self.val_size, len(images)), "data.splitting.val_size")
            val = images.take(held_out)
            kept = images if self.train_on_val else images.take(~held_out)
        elif self.train_on_val:
            kept = Images(torch.cat([images.pixels, val.pixels]), torch.cat([images.labels, val.labels]))
        if self.train_size is not None and self.train_size != len(kept):
            kept = kept.take(self._pick(kept, self.train_size, "data.splitting.train_size"))
        return kept, val

    def draw(self, images: Images, size: float, setting: str) -> tuple[Images, Images]:
        """The rest of the images and ``size`` of them, or, below 1, that share; ``setting`` is what a person sets it by."""
        drawn = self._pick(images, whole(size, len(images)), setting)
        return images.take(~drawn), images.take(drawn)

    def _pick(self, images: Images, size: int, setting: str) -> Tensor:
        """A mask ``(N,)`` of the ``size`` images to hold out or, for a ``train_size``, to keep."""
        total = len(images)
        check("data.splitting.how", self.how)
        if not 0 < size < total:
            raise ConfigError(
                f"{setting} `{size}` does not fit {total:,} images; expected 1 to {total - 1:,}; set {setting}"
            )
        mask = torch.zeros(total, dtype=torch.bool)
        if self.how == "last":
            mask[slice(size) if setting.endswith("train_size") else slice(total - size, None)] = True
        else:
            mask[torch.from_numpy(self._stratified(images.labels.numpy(), size, setting))] = True
        return mask

    def _stratified(self, labels: NDArray[np.int64], size: int, setting: str) -> NDArray[np.int64]:
        counts = np.unique(labels, return_counts=True)[1]
        if counts.min() < 2 or not len(counts) <= size <= len(labels) - len(counts):
            fitting = f"{len(counts)} to {len(labels) - len(counts):,}, and " if 2 * len(counts) <= len(labels) else ""
            raise ConfigError(
                f"{setting} `{size}` leaves a class without images: {len(labels):,} images of {len(counts)} classes, of the rarest "
                f"{counts.min()}; expected {fitting}two images of each class; {f'set {setting}' if fitting else 'add some'}"
            )
        from sklearn.model_selection import train_test_split  # late: most trainings do without it

        _, drawn = train_test_split(np.arange(len(labels)), test_size=size, random_state=self.seed, stratify=labels)
        return np.asarray(drawn)


def whole(size: float, total: int) -> int:
    """``size`` images, or, below 1, that share of ``total``, at least one."""
    return max(1, round(size * total)) if 0 < size < 1 else int(size)


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
    class_names: tuple[str, ...] = ()
    fits_by: str = (
        "ink"  # how a picture of another size becomes such an image: cut to its ink and centred, or by `resize`
    )

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
        check("trainer.scaling", how)
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


def check_classes(name: str, class_names: Sequence[str]) -> None:
    """Raise :class:`~paretune.errors.DataError` for fewer than two classes."""
    if len(class_names) < 2:
        raise DataError(
            f"data `{name}` has {len(class_names)} class{'' if class_names else 'es'} ({', '.join(class_names) or 'none'}); expected at "
            f"least two; check data.path"
        )


def assembled(
    name: str, images: Mapping[str, Images], class_names: Sequence[str], splitting: Splitting, test_size: float
) -> ImageData:
    """One's own ``images`` by split: ``train``, and where there are any ``val`` and ``test``; what is missing is drawn.

    The test images are drawn first, with equal shares of every class and always from the same seed. Raises
    :class:`~paretune.errors.DataError` for fewer than two classes, images of several shapes, or a class that a split lacks.
    """
    check_classes(name, class_names)
    shapes = {tuple(part.pixels.shape[1:]) for part in images.values()}
    if len(shapes) > 1:
        raise DataError(f"data `{name}` has images of the shapes {sorted(shapes)}; expected one; make them equal")
    train, test = images["train"], images.get("test")
    if test is None:
        check_least("data.test_size", test_size, 0, whole=False)
        train, test = Splitting(how="stratified").draw(train, test_size, "data.test_size")
    train, val = splitting.split(train, images.get("val"))
    for split, part in {"training": train, "validation": val, "test": test}.items():
        counts = torch.bincount(part.labels, minlength=len(class_names))
        if len(part) and not counts.all():
            missing = class_names[int(counts.argmin())]
            raise DataError(
                f"data `{name}` has no {split} image of class `{missing}`; expected some of every class; add some, or set "
                f"data.splitting.how=stratified"
            )
    return ImageData(name, train, val, lambda: test, len(class_names), tuple(class_names), fits_by="resize")
