"""A model file, read and run without torch."""

import json
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from paretune.errors import StoreError, first_line

__all__ = ["METADATA", "Runtime"]

METADATA = "paretune"  # key of the facts that a reader of the file needs
BATCH = 256


class Runtime:
    """A model that paretune-export wrote; ``side`` of its images in pixels, ``ink_share`` as in training.

    Raises :class:`~paretune.errors.StoreError` for any other file.
    """

    def __init__(self, path: Path) -> None:
        try:
            self.session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
            facts = json.loads(self.session.get_modelmeta().custom_metadata_map[METADATA])
        except Exception as error:  # onnxruntime has an error class for each of its return codes
            reason = first_line(error)
            message = (
                f"model `{path}` cannot be read ({reason}); expected a file that paretune-export wrote; export it again"
            )
            raise StoreError(message) from error
        self.ink_share: float = facts.get("ink_share", 1.0)
        self.side: int = self.session.get_inputs()[0].shape[-1]

    def logits(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Logits ``(N, classes)`` of images ``(N, C, H, W)`` in [0, 1]."""
        parts = np.split(images, range(BATCH, len(images), BATCH))
        return np.concatenate([self.session.run(["logits"], {"images": part})[0] for part in parts])

    def probabilities(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Probabilities ``(N, classes)`` of grey images ``(N, H, W)`` in [0, 1]."""
        logits = self.logits(images[:, np.newaxis])
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        shares: NDArray[np.float32] = powers / powers.sum(axis=1, keepdims=True)
        return shares
