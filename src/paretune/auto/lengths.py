"""How many epochs the trainings of a search have, by the images and the time there
are.
"""

from dataclasses import dataclass

# Of MNIST, on which 27 epochs were searched with (docs/front.md).
KNOWN_IMAGES = 50_000
KNOWN_EPOCHS = 27
KNOWN_PIXELS = 28 * 28
# Of a network of some thousand parameters on one core of an AMD EPYC, about.
IMAGES_PER_S = 15_000
LEAST_PIXEL_SHARE = 0.2  # of that time: what an image takes, however small it is
# As many trainings to their end fit into the time of a search at least. A race stops
# most of them early, so that several times as many begin.
LEAST_TRAININGS = 60
# A rung is at a ninth and at a third of a training.
ETA = 3
RUNGS = 2
LEAST_EPOCHS = ETA**RUNGS
MOST_EPOCHS = 27 * LEAST_EPOCHS


@dataclass(frozen=True)
class SearchLength:
    """The ``epochs`` of a training in a search, and the first rung of its race."""

    epochs: int
    first_rung: int


def choose_length(n_images: int, n_pixels: int, core_s: float) -> SearchLength:
    """The length of the trainings on ``n_images`` of ``n_pixels``, in a search that has
    ``core_s`` seconds, over all cores.

    Four times fewer images take twice as many epochs: with fewer steps than that small
    data sets are learned badly, and with as many as large ones have, by heart.
    """
    wanted = KNOWN_EPOCHS * (KNOWN_IMAGES / n_images) ** 0.5
    epoch_s = guess_epoch_s(n_images, n_pixels)
    affordable = core_s / LEAST_TRAININGS / epoch_s
    first_rung = round(min(wanted, affordable) / LEAST_EPOCHS)
    first_rung = min(max(1, first_rung), MOST_EPOCHS // LEAST_EPOCHS)
    return SearchLength(first_rung * LEAST_EPOCHS, first_rung)


def guess_epoch_s(n_images: int, n_pixels: int) -> float:
    """About the seconds of an epoch of ``n_images`` of ``n_pixels``, on one core."""
    share = max(LEAST_PIXEL_SHARE, n_pixels / KNOWN_PIXELS)
    return share * n_images / IMAGES_PER_S
