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
FOLD_SEED = 0
SPLIT_WORDS = {"train": "training", "val": "validation", "test": "test"}


class Labelled(Protocol):
    """Images, or what stands for them, in an order."""

    @property
    def labels(self) -> Any:
        """The number of each image's class, ``(N,)``."""

    def __len__(self) -> int: ...

    def take(self, rows: Mask) -> Self:
        """Those that the mask ``(N,)`` marks."""

    def join(self, others: Self) -> Self:
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
        if val is None:
            rest, val = self._hold_out_val(images)
            train = images if self.train_on_val else rest
        elif self.train_on_val:
            train = images.join(val)
        else:
            train = images
        if self.train_size is not None and self.train_size != len(train):
            train = train.take(self._mark_kept(train, self.train_size))
        return train, val

    def _hold_out_val(self, images: Part) -> tuple[Part, Part]:
        """The rest of the images and ``val_size`` of them."""
        held_out = np.zeros(len(images), dtype=bool)
        if self.val_size:
            setting = "data.splitting.val_size"
            held_out = self._mark_held_out(images, self.val_size, setting, 1)
        return images.take(~held_out), images.take(held_out)

    def draw(
        self, images: Part, size: float, setting: str, least_left: int = 1
    ) -> tuple[Part, Part]:
        """The rest of the images and ``size`` of them, or, below 1, that share;
        ``setting`` is what a person sets it by.

        A stratified draw leaves ``least_left`` of each class.
        """
        drawn = self._mark_held_out(images, size, setting, least_left)
        return images.take(~drawn), images.take(drawn)

    def _mark_held_out(
        self, images: Labelled, size: float, setting: str, least_left: int
    ) -> Mask:
        """A mask of the images to hold out."""
        check("data.splitting.how", self.how)
        total = len(images)
        number = count_images(size, total)
        if self.how == "last":
            _check_size(setting, size, number, total)
            return np.arange(total) >= total - number
        labels = np.asarray(images.labels)
        if 0 < size < 1:
            number = _fit_size(number, labels, least_left)
        _check_size(setting, size, number, total)
        return draw_stratified(labels, number, self.seed, setting, least_left)

    def _mark_kept(self, images: Labelled, size: int) -> Mask:
        """A mask of the images to keep for a ``train_size``."""
        check("data.splitting.how", self.how)
        setting = "data.splitting.train_size"
        _check_size(setting, size, size, len(images))
        if self.how == "last":
            return np.arange(len(images)) < size
        labels = np.asarray(images.labels)
        return draw_stratified(labels, size, self.seed, setting, least_left=0)


def count_images(size: float, total: int) -> int:
    """``size`` images, or, below 1, that share of ``total``, at least one."""
    if 0 < size < 1:
        return max(1, round(size * total))
    return int(size)


def draw_stratified(
    labels: Labels, size: int, seed: int, setting: str, least_left: int
) -> Mask:
    """A mask of ``size`` images with equal shares of every class: at least one of each,
    and ``least_left`` not drawn.

    Raises :class:`~paretune.errors.ConfigError` if there are too few.
    """
    counts = np.unique(labels, return_counts=True)[1]
    _check_classes_fit(counts, size, setting, least_left)
    mask = _mark(_draw_by_sklearn(labels, size, seed), len(labels))
    if _has_enough(labels, mask, least_left):
        return mask
    return _mark(_draw_one_of_each(labels, size, seed, least_left), len(labels))


def _mark(rows: Labels, total: int) -> Mask:
    mask = np.zeros(total, dtype=bool)
    mask[rows] = True
    return mask


def _check_size(setting: str, size: float, number: int, total: int) -> None:
    if not 0 < number < total:
        raise ConfigError(
            f"{setting} `{size}` does not fit {total:,} images; expected 1 to "
            f"{total - 1:,}; set {setting}"
        )


def _fit_size(size: int, labels: Labels, least_left: int) -> int:
    """The size next to it that has one of each class, and leaves ``least_left``."""
    classes = len(np.unique(labels))
    most = max(classes, len(labels) - least_left * classes)
    return min(max(size, classes), most)


def _check_classes_fit(
    counts: NDArray[np.int64], size: int, setting: str, least_left: int
) -> None:
    classes = len(counts)
    total = int(counts.sum())
    most = total - least_left * classes
    has_enough = counts.min() > least_left
    if has_enough and classes <= size <= most:
        return
    if has_enough:
        fitting = f"{classes} to {most:,}"
        remedy = f"set {setting}"
    else:
        fitting = f"at least {least_left + 1} images of each class"
        remedy = "add some, or leave the class out"
    raise ConfigError(
        f"{setting} `{size}` leaves a class without images: {total:,} images of "
        f"{classes} classes, of the rarest {counts.min()}; expected {fitting}; {remedy}"
    )


def _has_enough(labels: Labels, mask: Mask, least_left: int) -> bool:
    """Whether at least one of each class is drawn, and ``least_left`` not."""
    _, places = np.unique(labels, return_inverse=True)
    classes = int(places.max()) + 1
    drawn = np.bincount(places[mask], minlength=classes)
    left = np.bincount(places[~mask], minlength=classes)
    return bool(drawn.min() >= 1 and left.min() >= least_left)


def _draw_by_sklearn(labels: Labels, size: int, seed: int) -> Labels:
    """Rows, as most sets are drawn; none where scikit-learn does not draw."""
    # Late: most trainings do without it.
    from sklearn.model_selection import train_test_split

    counts = np.unique(labels, return_counts=True)[1]
    if counts.min() < 2 or len(labels) - size < len(counts):
        return np.empty(0, np.int64)
    _, drawn = train_test_split(
        np.arange(len(labels)), test_size=size, random_state=seed, stratify=labels
    )
    return np.asarray(drawn)


def deal_folds(labels: Labels, number: int) -> Labels:
    """For each image the fold, from 0, that it is in: ``number`` folds, to which the
    images of each class are dealt in a random order, always the same one.

    Raises :class:`~paretune.errors.ConfigError` if a class has fewer images.
    """
    _, places, counts = np.unique(labels, return_inverse=True, return_counts=True)
    if counts.min() < number:
        raise ConfigError(
            f"selection.folds `{number}` leave a fold without images of a class: the "
            f"rarest one has {counts.min()}; set selection.folds to that at most"
        )
    rng = np.random.default_rng(FOLD_SEED)
    folds = np.empty(len(labels), dtype=np.int64)
    dealt = 0
    for place in range(len(counts)):
        rows = rng.permutation(np.flatnonzero(places == place))
        # The next class goes on where this one ends, so that folds are of one size.
        folds[rows] = (dealt + np.arange(len(rows))) % number
        dealt += len(rows)
    return folds


def _draw_one_of_each(labels: Labels, size: int, seed: int, least_left: int) -> Labels:
    """Rows with shares as equal as they can be if every class, the rarest too, has its
    part of both sides.
    """
    _, places, counts = np.unique(labels, return_inverse=True, return_counts=True)
    shares = _share_out(counts, size, least_left)
    rng = np.random.default_rng(seed)
    drawn: list[Labels] = []
    for number, share in enumerate(shares):
        rows_of_class = np.flatnonzero(places == number)
        drawn.append(rng.permutation(rows_of_class)[:share])
    return np.concatenate(drawn)


def _share_out(
    counts: NDArray[np.int64], size: int, least_left: int
) -> NDArray[np.int64]:
    """How many of ``size`` images each class has, at least one, and not the last
    ``least_left``.
    """
    shares = np.ones_like(counts)
    fair_shares = counts / counts.sum() * size
    for _ in range(size - len(counts)):
        lacking = fair_shares - shares
        lacking[shares >= counts - least_left] = -np.inf
        shares[lacking.argmax()] += 1
    return shares


def divide(
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
    train = parts["train"]
    val = parts.get("val")
    test = parts.get("test")
    draws_val = val is None and splitting.val_size > 0
    if test is None:
        check_least("data.test_size", test_size, 0, whole=False)
    _check_rare(name, train, class_names, draws_test=test is None, draws_val=draws_val)
    if test is None:
        draw = Splitting(how="stratified").draw
        least_left = 2 if draws_val else 1
        train, test = draw(train, test_size, "data.test_size", least_left)
    train, val = splitting.split(train, val)
    result = {"train": train, "val": val, "test": test}
    _check_complete(name, result, class_names, splitting, draws_val=draws_val)
    return result


def check_classes(name: str, class_names: Sequence[str]) -> None:
    """Raise :class:`~paretune.errors.DataError` for fewer than two classes."""
    if len(class_names) < 2:
        word = "classes" if not class_names else "class"
        names = ", ".join(class_names) or "none"
        raise DataError(
            f"data `{name}` has {len(class_names)} {word} ({names}); expected at least "
            "two; check data.path"
        )


def _count_labels(part: Labelled, class_names: Sequence[str]) -> NDArray[np.int64]:
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
    uses = ["to train"]
    if draws_val:
        uses.append("to validate")
    if draws_test:
        uses.append("to test")
    counts = _count_labels(train, class_names)
    rare = [
        f"`{class_name}` ({count})"
        for class_name, count in zip(class_names, counts.tolist(), strict=True)
        if count < len(uses)
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
        counts = _count_labels(part, class_names)
        missing = [
            f"`{class_name}`"
            for class_name, count in zip(class_names, counts.tolist(), strict=True)
            if count == 0
        ]
        if not len(part) or not missing:
            continue
        word = SPLIT_WORDS[split]
        is_by_order = splitting.how == "last" and (split == "train" or draws_val)
        remedy = f"leave the {word} images out, so that they are drawn"
        if is_by_order:
            remedy = "set data.splitting.how=stratified"
        raise DataError(
            f"data `{name}` has no {word} image of the class {', '.join(missing)}; "
            f"expected some of every class; add some, or {remedy}"
        )
