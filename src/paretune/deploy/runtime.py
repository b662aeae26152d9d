"""An exported model, run by onnxruntime."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from paretune.data.pictures import FitsBy
from paretune.data.signals import ValueRange
from paretune.deploy.picture import Placing
from paretune.errors import StoreError, first_line

METADATA = "paretune"  # key of the facts that a reader of the file needs
BATCH = 256


class Runtime:
    """A model that paretune export wrote; ``placing`` of pictures, the range of
    ``values`` of signals and ``class_names`` as in training.

    Raises :class:`~paretune.errors.StoreError` for any other file.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise StoreError(f"model `{path}` is not there; check the path")
        try:
            self.session = _open_session(path)
            facts = json.loads(
                self.session.get_modelmeta().custom_metadata_map[METADATA]
            )
        # onnxruntime has an error class for each of its return codes.
        except Exception as error:
            raise StoreError(
                f"model `{path}` was not written by paretune export "
                f"({_explain(error)}); check the path"
            ) from error
        channels, height, width = self.session.get_inputs()[0].shape[1:]
        fits_by = _read_fits_by(facts.get("fits_by", "ink"))
        ink_share = facts.get("ink_share", 1.0)
        self.placing = Placing((channels, height, width), fits_by, ink_share)
        self.values = _read_values(facts.get("values"))
        classes = self.session.get_outputs()[0].shape[-1]
        self.class_names: list[str] = facts.get("class_names") or [
            str(number) for number in range(classes)
        ]

    def logits(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Logits ``(N, classes)`` of images ``(N, C, H, W)`` in [0, 1]."""
        ends = range(BATCH, len(images), BATCH)
        parts = np.split(images, ends)
        return np.concatenate([self._run(part) for part in parts])

    def _run(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        outputs: list[NDArray[np.float32]] = self.session.run(
            ["logits"], {"images": images}
        )
        return outputs[0]

    def probabilities(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Probabilities ``(N, classes)`` of images ``(N, C, H, W)`` in [0, 1]."""
        logits = self.logits(images)
        largest = logits.max(axis=1, keepdims=True)
        powers = np.exp(logits - largest)
        shares: NDArray[np.float32] = powers / powers.sum(axis=1, keepdims=True)
        return shares


def _read_fits_by(written: str) -> FitsBy:
    """The way that the file says, also in the word of earlier versions."""
    return "stretch" if written == "resize" else cast(FitsBy, written)


def _open_session(path: Path) -> Any:
    options = onnxruntime.SessionOptions()
    # its further optimisations let sums of int8 products overflow on processors without
    # VNNI
    options.graph_optimization_level = (
        onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    )
    return onnxruntime.InferenceSession(
        str(path), options, providers=["CPUExecutionProvider"]
    )


def _read_values(plain: Mapping[str, Any] | None) -> ValueRange | None:
    """The range of a signal's values, of a model of signals."""
    if plain is None:
        return None
    return ValueRange(low=tuple(plain["low"]), high=tuple(plain["high"]))


def _explain(error: Exception) -> str:
    """Why a file is no model of ours."""
    if isinstance(error, KeyError):
        return "it is of another program"
    return first_line(error).rpartition(" failed:")[2]
