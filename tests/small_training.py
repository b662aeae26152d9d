"""The settings of a training of a moment."""

import torch

from paretune.training import schedule
from paretune.training.settings import Training


def make_training(**changes: object) -> Training:
    """Four epochs of Adam on the CPU, with nothing tuned and nothing stopped early."""
    settings = {
        "optimizer": lambda parameters: torch.optim.Adam(parameters, lr=0.01),
        "schedule": schedule.constant,
        "max_epochs": 4,
        "batch_size": 32,
        "eval_batch_size": 30,
        "device": "cpu",
        "patience": None,
        "autotune": False,
    }
    return Training(**settings | changes)
