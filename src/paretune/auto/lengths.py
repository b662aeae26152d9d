"""How many epochs the trainings of a search have, by the images and the time there
are.
"""

from dataclasses import dataclass, replace

# Of MNIST, on which 27 epochs were searched with (docs/front.md).
KNOWN_IMAGES = 50_000
KNOWN_EPOCHS = 27
KNOWN_PIXELS = 28 * 28
# Of a network of some thousand parameters on one core of an AMD EPYC, about.
IMAGES_PER_S = 15_000
LEAST_PIXEL_SHARE = 0.2  # of that time: what an image takes, however small it is
PIXEL_POWER = 0.75  # of the pixels: large images are pooled first more often
# So many trainings to their end fit into the time of a search at least. A race stops
# most of them early, so that several times as many begin.
LEAST_TRAININGS = 25
# Images that a training sees at least, some hundred steps: with fewer nothing is
# learned, however many trainings there are.
LEAST_SEEN = 40_000
# A rung is at a ninth and at a third of a training.
ETA = 3
RUNGS = 2
# Validation images, below which models are scored in folds: the standard error of an
# F1 of 0.95 on so many is 0.01. Folds take several times as long as a single training.
FEW_IMAGES = 500
FOLDS = 5
LEAST_EPOCHS = ETA**RUNGS
MOST_EPOCHS = 27 * LEAST_EPOCHS


@dataclass(frozen=True)
class SearchLength:
    """The ``epochs`` of a training in a search, the first rung of its race, and the
    ``folds`` that it is scored in.
    """

    epochs: int
    first_rung: int
    folds: int = 1

    @property
    def rungs(self) -> int:
        """The rungs of the race: one more at the end of the first of several folds."""
        return RUNGS if self.folds == 1 else RUNGS + 1


@dataclass(frozen=True)
class ImageCounts:
    """How many images there are to train and to validate, how many of the rarest class,
    and the pixels of each. ``effective_share`` is what they are worth for a macro F1,
    in (0, 1]: 1 where classes are of equal size.
    """

    train: int
    val: int
    of_rarest: int
    pixels: int
    effective_share: float = 1.0


def choose_length(
    images: ImageCounts,
    core_s: float,
    *,
    epochs: int | None = None,
    folds: int | None = None,
) -> SearchLength:
    """The length of the trainings in a search that has ``core_s`` seconds, over all
    cores; with the ``epochs`` and the ``folds`` that a person has set.

    Where few images validate all are scored, in folds: the best of many models on few
    images would be the luckiest one.
    """
    if folds is None:
        is_few = images.val * images.effective_share < FEW_IMAGES
        folds = min(FOLDS, images.of_rarest) if is_few else 1
    if epochs is not None:
        return SearchLength(epochs, max(1, epochs // LEAST_EPOCHS), folds)
    n_train = images.train
    if folds > 1:
        n_train = (images.train + images.val) * (folds - 1) // folds
    # Most trainings end in the first fold.
    length = _choose_epochs(n_train, images.pixels, core_s / ((1 + folds) / 2))
    return replace(length, folds=folds)


def _choose_epochs(n_images: int, n_pixels: int, core_s: float) -> SearchLength:
    """The epochs of trainings on ``n_images`` of ``n_pixels``.

    Four times fewer images take twice as many epochs: with fewer steps than that small
    data sets are learned badly, and with as many as large ones have, by heart.
    """
    wanted = KNOWN_EPOCHS * (KNOWN_IMAGES / n_images) ** 0.5
    epoch_s = guess_epoch_s(n_images, n_pixels)
    affordable = max(core_s / LEAST_TRAININGS / epoch_s, LEAST_SEEN / n_images)
    first_rung = round(min(wanted, affordable) / LEAST_EPOCHS)
    first_rung = min(max(1, first_rung), MOST_EPOCHS // LEAST_EPOCHS)
    return SearchLength(first_rung * LEAST_EPOCHS, first_rung)


def guess_epoch_s(n_images: int, n_pixels: int) -> float:
    """About the seconds of an epoch of ``n_images`` of ``n_pixels``, on one core."""
    share: float = max(LEAST_PIXEL_SHARE, (n_pixels / KNOWN_PIXELS) ** PIXEL_POWER)
    return share * n_images / IMAGES_PER_S
