"""An app in the layout of lightning-hydra-template that trains for real."""

import sys
from pathlib import Path

import hydra
import pytorch_lightning as pl
from omegaconf import DictConfig

sys.path.append(str(Path(__file__).parent.parent))

from paretune.lightning import count_model
from src.network import Digits


@hydra.main(version_base="1.3", config_path="../configs", config_name="train.yaml")
def main(config: DictConfig) -> tuple[float, float]:
    """The parameters and the score of a training."""
    pl.seed_everything(config.seed)
    model = hydra.utils.instantiate(config.model)
    callbacks = [hydra.utils.instantiate(part) for part in config.callbacks.values()]
    logger = hydra.utils.instantiate(config.logger)
    trainer = hydra.utils.instantiate(
        config.trainer, callbacks=callbacks, logger=logger
    )
    trainer.fit(model, datamodule=Digits())
    return count_model(config), float(trainer.callback_metrics["val/f1"])


if __name__ == "__main__":
    main()
