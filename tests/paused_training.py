"""A training of digits that is paused, and goes on when this file is run: the arguments
are the files of its state and of the weights that it leaves.
"""

import random
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from omegaconf import OmegaConf

from paretune import models
from paretune.augment import Affine
from paretune.data import load
from paretune.data.images import ImageData
from paretune.paths import CONF
from paretune.schema import Averaging
from paretune.training import schedule
from paretune.training.epochs import Epoch
from paretune.training.fit import Trained, fit, resume, seed_everything
from paretune.training.optimizers import FullMatrix
from paretune.training.settings import Training
from paretune.training.state import TrainingState
from paretune.training.state_file import load_state
from small_training import make_training

# Dropout, running statistics of norms, bends and an average: all that draws or lasts.
MODEL = {
    "_target_": "paretune.models.squeeze.Squeeze",
    "widths": [2, 3],
    "pool_after": [1],
    "dropout": 0.2,
}
ALL_AT_ONCE = {
    "optimizer": partial(FullMatrix, renew_every=5),
    "schedule": schedule.one_cycle,
    "augment": Affine(rotation_deg=10, elastic=0.03),
    "augment_rampdown_epochs": 2,
    "averaging": Averaging("ema", decay=0.9),
    "patience": 4,
}
CONFIG = {"model": MODEL, "optimizer": {"lr": 0.04}}


def load_few_digits() -> ImageData:
    config = OmegaConf.load(CONF / "data" / "digits.yaml")
    config.splitting.train_size = 100
    return load(OmegaConf.to_container(config))


def disturb() -> None:
    """Draw from every generator that belongs to nobody."""
    random.seed(7)
    np.random.seed(7)
    torch.manual_seed(7)


def train(data: ImageData, training: Training, model=MODEL, **options):
    """The network and the result of a training in one go."""
    seed_everything(training.seed)
    net = models.build(model)
    return net, fit(net, data, training, **options)


def pause(
    data: ImageData, training: Training, after: int, model=MODEL
) -> TrainingState:
    """The state after this epoch."""
    _, paused = train(
        data, training, model, listener=lambda epoch: epoch.number == after
    )
    assert paused.state is not None
    return paused.state


def go_on(data: ImageData, training: Training, state, model=MODEL, **options):
    """The network and the result of a training that goes on with new objects."""
    disturb()
    net = models.build(model)
    return net, resume(net, data, training, state, **options)


def list_scores(trained: Trained) -> list[Epoch]:
    """The epochs, which take another time each time."""
    return [replace(epoch, seconds=0.0) for epoch in trained.epochs]


if __name__ == "__main__":
    state_file, weights_file = map(Path, sys.argv[1:])
    net, trained = go_on(
        load_few_digits(), make_training(**ALL_AT_ONCE), load_state(state_file, CONFIG)
    )
    torch.save({"weights": net.state_dict(), "f1": trained.best.val_f1}, weights_file)
