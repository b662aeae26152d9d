"""The random numbers that a process draws next."""

import random
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class RandomState:
    """Where the generators of Python, numpy and torch stand that have no owner, such as
    the one that dropout draws from; ``cpu`` and ``gpu`` are torch's.

    All is plain: numbers, texts and tensors.
    """

    python: tuple[Any, ...]
    numpy: dict[str, Any]
    cpu: Tensor
    gpu: Tensor | None = None

    @classmethod
    def take(cls, device: torch.device) -> "RandomState":
        """The state of this process and of ``device``."""
        return cls(
            python=random.getstate(),
            numpy=_take_numpy(),
            cpu=torch.get_rng_state(),
            gpu=_take_gpu(device),
        )

    def restore(self, device: torch.device) -> None:
        """Have this process and ``device`` draw what was drawn next then."""
        random.setstate(self.python)
        np.random.set_state(_make_numpy(self.numpy))
        torch.set_rng_state(self.cpu)
        if self.gpu is not None:
            torch.get_device_module(device).set_rng_state(self.gpu)


def _take_numpy() -> dict[str, Any]:
    name, key, position, has_gauss, gauss = np.random.get_state()
    return {
        "name": str(name),
        "key": torch.from_numpy(np.asarray(key).astype(np.int64)),
        "position": int(position),
        "has_gauss": int(has_gauss),
        "gauss": float(gauss),
    }


def _make_numpy(state: dict[str, Any]) -> tuple[str, Any, int, int, float]:
    key = state["key"].numpy().astype(np.uint32)
    return (
        state["name"],
        key,
        state["position"],
        state["has_gauss"],
        state["gauss"],
    )


def _take_gpu(device: torch.device) -> Tensor | None:
    if device.type == "cpu":
        return None
    state: Tensor = torch.get_device_module(device).get_rng_state()
    return state
