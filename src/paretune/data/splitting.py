"""How labelled images become those to train, to validate and to test on. Torch is not
needed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from paretune.errors import ConfigError, DataError, check_least
from paretune.settings import check

Mask = NDArray[np.bool_]
Labels = NDArray[np.int64]
WORDS = {"train": "training", "val": "validation", "test": "test"}


class Labelled(Protocol):
    """Images, or what stands for them, in an order."""

    @property
    def labels(self) -> Any:
        """The number of each image's class, ``(N,)``."""

    def __len__(self) -> int: ...

    def take(self, rows: Mask) -> Self:
        """Those that the mask ``(N,)`` marks."""

    def joined(self, others: Self) -> Self:
        """These and then the others."""


Part = TypeVar("Part", bound=Labelled)


@dataclass(frozen=True)
class Splitting:
    """How training images become a training and a validation split.

    ``last`` holds out the last ``val_size`` images, as Keras and most published recipes
    do; ``stratified`` draws them with equal shares of every class, at least one of
    each, from ``seed``; with ``val_size`` 0 there is none, below 1 it is a share of the
    images. ``train_size`` keeps that many of the rest (the first, or a stratified draw)
    for learning curves; ``None`` keeps all. With ``train_on_val`` the validation images
    train, too: for a last training, in which nothing is chosen by them.
    """

    val_size: float = 10_000
    how: str = "last"
    seed: int = 0
    train_size: int | None = None
    train_on_val: bool = False

    def split(self, images: Part, val: Part | None = None) -> tuple[Part, Part]:
        """The training and the validation images; given validation images, ``val``,
        hold out no others.
        """
        kept = images
        if val is None:
            held_out = np.zeros(len(images), dtype=bool)
            if self.val_size:
                held_out = self._held_out(
                    images, self.val_size, "data.splitting.val_size", least_left=1
                )
            val = images.take(held_out)
            kept = images if self.train_on_val else images.take(~held_out)
        elif self.train_on_val:
            kept = images.joined(val)
        if self.train_size is not None and self.train_size != len(kept):
            kept = kept.take(self._kept(kept, self.train_size))
        return kept, val

    def draw(
        self, images: Part, size: float, setting: str, least_left: int = 1
    ) -> tuple[Part, Part]:
        """The rest of the images and ``size`` of them, or, below 1, that share;
        ``setting`` is what a person sets it by.

        A stratified draw leaves ``least_left`` of each class.
        """
        drawn = self._held_out(images, size, setting, least_left)
        return images.take(~drawn), images.take(drawn)

    def _held_out(
        self, images: Labelled, size: float, setting: str, least_left: int
    ) -> Mask:
        """A mask of the images to hold out."""
        check("data.splitting.how", self.how)
        total, number = len(images), whole(size, len(images))
        if self.how == "last":
            _check_size(setting, size, number, total)
            return np.arange(total) >= total - number
        labels = np.asarray(images.labels)
        if 0 < size < 1:
            number = _fitting(number, labels, least_left)
        _check_size(setting, size, number, total)
        return stratified(labels, number, self.seed, setting, least_left)

    def _kept(self, images: Labelled, size: int) -> Mask:
        """A mask of the images to keep for a ``train_size``."""
        check("data.splitting.how", self.how)
        setting = "data.splitting.train_size"
        _check_size(setting, size, size, len(images))
        if self.how == "last":
            return np.arange(len(images)) < size
        return stratified(
            np.asarray(images.labels), size, self.seed, setting, least_left=0
        )


def whole(size: float, total: int) -> int:
    """``size`` images, or, below 1, that share of ``total``, at least one."""
    return max(1, round(size * total)) if 0 < size < 1 else int(size)


def stratified(
    labels: Labels, size: int, seed: int, setting: str, least_left: int
) -> Mask:
    """A mask of ``size`` images with equal shares of every class: at least one of each,
    and ``least_left`` not drawn.

    Raises :class:`~paretune.errors.ConfigError` if there are too few.
    """
    counts = np.unique(labels, return_counts=True)[1]
    _check_classes_fit(counts, size, setting, least_left)
    mask = np.zeros(len(labels), dtype=bool)
    for draw in (_drawn_by_sklearn, _drawn_with_one_of_each):
        mask[:] = False
        mask[draw(labels, size, seed, least_left)] = True
        if _has_enough(labels, mask, least_left):
            break
    return mask


def _check_size(setting: str, size: float, number: int, total: int) -> None:
    if not 0 < number < total:
        raise ConfigError(
            f"{setting} `{size}` does not fit {total:,} images; expected 1 to "
            f"{total - 1:,}; set {setting}"
        )


def _fitting(size: int, labels: Labels, least_left: int) -> int:
    """The size next to it that has one of each class, and leaves ``least_left``."""
    classes = len(np.unique(labels))
    return min(max(size, classes), max(classes, len(labels) - least_left * classes))


def _check_classes_fit(
    counts: NDArray[np.int64], size: int, setting: str, least_left: int
) -> None:
    classes, total = len(counts), int(counts.sum())
    least, most = classes, total - least_left * classes
    has_enough = counts.min() > least_left
    if has_enough and least <= size <= most:
        return
    fitting = (
        f"{least} to {most:,}"
        if has_enough
        else f"at least {least_left + 1} images of each class"
    )
    remedy = f"set {setting}" if has_enough else "add some, or leave the class out"
    raise ConfigError(
        f"{setting} `{size}` leaves a class without images: {total:,} images of "
        f"{classes} classes, of the rarest {counts.min()}; "
        f"expected {fitting}; {remedy}"
    )


def _has_enough(labels: Labels, mask: Mask, least_left: int) -> bool:
    """Whether at least one of each class is drawn, and ``least_left`` not."""
    _, places = np.unique(labels, return_inverse=True)
    classes = int(places.max()) + 1
    drawn = np.bincount(places[mask], minlength=classes)
    left = np.bincount(places[~mask], minlength=classes)
    return bool(drawn.min() >= 1 and left.min() >= least_left)


def _drawn_by_sklearn(labels: Labels, size: int, seed: int, least_left: int) -> Labels:
    """Rows, as most sets are drawn; none where scikit-learn does not draw."""
    # late: most trainings do without it.
    from sklearn.model_selection import train_test_split

    counts = np.unique(labels, return_counts=True)[1]
    if counts.min() < 2 or len(labels) - size < len(counts):
        return np.empty(0, np.int64)
    _, drawn = train_test_split(
        np.arange(len(labels)), test_size=size, random_state=seed, stratify=labels
    )
    return np.asarray(drawn)


def _drawn_with_one_of_each(
    labels: Labels, size: int, seed: int, least_left: int
) -> Labels:
    """Rows with shares as equal as they can be if every class, the rarest too, has its
    part of both sides.
    """
    _, places, counts = np.unique(labels, return_inverse=True, return_counts=True)
    shares = np.ones_like(counts)
    for _ in range(size - len(counts)):
        lacking = counts / counts.sum() * size - shares
        lacking[shares >= counts - least_left] = -np.inf
        shares[lacking.argmax()] += 1
    rng = np.random.default_rng(seed)
    rows = [
        rng.permutation(np.flatnonzero(places == number))[:share]
        for number, share in enumerate(shares)
    ]
    return np.concatenate(rows)


def divided(
    name: str,
    parts: Mapping[str, Part],
    class_names: Sequence[str],
    splitting: Splitting,
    test_size: float,
) -> dict[str, Part]:
    """The parts ``train``, ``val`` and ``test``, drawn from ``train`` where ``parts``
    has none.

    The test images are drawn first, with equal shares of every class and always from
    the same seed. Raises
    :class:`~paretune.errors.DataError` for fewer than two classes, and for a class of
    which a part would have nothing.
    """
    check_classes(name, class_names)
    train, val, test = parts["train"], parts.get("val"), parts.get("test")
    draws_val = val is None and splitting.val_size > 0
    if test is None:
        check_least("data.test_size", test_size, 0, whole=False)
    _check_rare(name, train, class_names, draws_test=test is None, draws_val=draws_val)
    if test is None:
        least_left = 2 if draws_val else 1
        train, test = Splitting(how="stratified").draw(
            train, test_size, "data.test_size", least_left
        )
    train, val = splitting.split(train, val)
    result = {"train": train, "val": val, "test": test}
    _check_complete(name, result, class_names, splitting, draws_val=draws_val)
    return result


def check_classes(name: str, class_names: Sequence[str]) -> None:
    """Raise :class:`~paretune.errors.DataError` for fewer than two classes."""
    if len(class_names) < 2:
        word = "classes" if not class_names else "class"
        raise DataError(
            f"data `{name}` has {len(class_names)} {word} "
            f"({', '.join(class_names) or 'none'}); expected at least two; check "
            "data.path"
        )


def _counts(part: Labelled, class_names: Sequence[str]) -> NDArray[np.int64]:
    return np.bincount(np.asarray(part.labels), minlength=len(class_names))


def _check_rare(
    name: str,
    train: Labelled,
    class_names: Sequence[str],
    *,
    draws_test: bool,
    draws_val: bool,
) -> None:
    """Raise :class:`~paretune.errors.DataError` for every class that has too few images
    to be in each part.
    """
    uses = ["to train"] + ["to validate"] * draws_val + ["to test"] * draws_test
    counts = _counts(train, class_names)
    rare = [
        f"`{class_names[row]}` ({counts[row]})"
        for row in np.flatnonzero(counts < len(uses)).tolist()
    ]
    if not rare:
        return
    expected = f"at least {len(uses)} of each class, one {', one '.join(uses)}"
    remedy = "add some, or leave the class out"
    if len(uses) > 1:
        remedy = (
            f"add some, leave the class out, or bring images {' and '.join(uses[1:])} "
            "of its own"
        )
    raise DataError(
        f"data `{name}` has too few images of the class {', '.join(rare)}; expected "
        f"{expected}; {remedy}"
    )


def _check_complete(
    name: str,
    parts: Mapping[str, Labelled],
    class_names: Sequence[str],
    splitting: Splitting,
    *,
    draws_val: bool,
) -> None:
    """Raise :class:`~paretune.errors.DataError` for a part that lacks classes, and say
    what helps.
    """
    for split, part in parts.items():
        missing = [
            class_names[row]
            for row in np.flatnonzero(_counts(part, class_names) == 0).tolist()
        ]
        if not len(part) or not missing:
            continue
        classes = ", ".join(f"`{each}`" for each in missing)
        by_order = splitting.how == "last" and (split == "train" or draws_val)
        remedy = f"leave the {WORDS[split]} images out, so that they are drawn"
        if by_order:
            remedy = "set data.splitting.how=stratified"
        raise DataError(
            f"data `{name}` has no {WORDS[split]} image of the class {classes}; "
            f"expected some of every class; add some, or {remedy}"
        )
