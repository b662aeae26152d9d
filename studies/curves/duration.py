"""About how long an epoch takes, from what a row holds: the model of curves learns by
how much it is wrong. What a sweep guesses (``src/paretune/duration.py``) is nearer, and
needs the network.
"""

from collections.abc import Mapping
from typing import Any

# Seconds of one core of an AMD EPYC, of an image that is trained on: whatever the
# network, for a multiply-accumulate, for a byte of the activations at their peak; and of
# a step.
IMAGE_S = 5e-6
MAC_S = 1.0e-10
BYTE_S = 1.0e-9
STEP_S = 0.8e-3
AUGMENT_S = 8e-6  # an image
VALIDATED = 0.2  # of the images that are trained on are scored as well
FORWARD = 1 / 3  # of a step's work
TRAINED = 50_000  # images of an epoch
DEFAULT_BATCH = 128
START_EPOCHS = 3  # of each network, by default


def guess_epoch_s(settings: Mapping[str, Any], costs: Mapping[str, int]) -> float:
    """Seconds of an epoch of 50,000 images with these settings and costs."""
    views = settings.get("model.views", 1)
    batch = settings.get("trainer.batch_size", DEFAULT_BATCH)
    once = costs["macs"] / views
    image_s = IMAGE_S + MAC_S * once + BYTE_S * costs["ram_bytes"]
    augmented_s = 0.0
    if settings.get("augment", "none") != "none":
        augmented_s = AUGMENT_S
    scored = VALIDATED * FORWARD * views
    return TRAINED * (image_s * (1 + scored) + STEP_S / batch + augmented_s)
