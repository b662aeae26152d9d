"""What any app with a Lightning training needs to take part in a sweep: a callback, and
a count of its module.
"""

import logging
from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl
import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig

from paretune.costs import COSTS
from paretune.errors import ConfigError, Raced, check_choice
from paretune.search import TrialHandle, current_trial

log = logging.getLogger(__name__)

COST_AND_SCORE = 2


class ReportToSweep(pl.Callback):
    """Reports the validation score ``metric`` to the sweep after the first validation of
    each epoch, once the module has logged it, so that trials can be raced or pruned.

    ``cost`` is reported beside it where the sweep weighs a cost: ``params``, counted of
    the module, or ``macs``, ``ram_bytes`` or ``flash_bytes``, counted by a trace of it
    on one image of the first batch. All that can be counted is logged as metrics, too
    (``n_params``, ``macs``, ...). Outside of a sweep it only counts.

    A trial that is to stop raises :class:`~paretune.errors.Raced` from ``trainer.fit``,
    which need not be caught; the loggers are closed before as of a training that is
    finished.

    Works in ``pytorch_lightning`` and ``lightning.pytorch``, on one device.
    """

    def __init__(self, metric: str, cost: str = "params") -> None:
        check_choice("ReportToSweep(cost=...)", cost, COSTS)
        super().__init__()
        self.metric = metric
        self.cost = cost
        self.costs: Mapping[str, float] = {}
        self.last_epoch = 0

    def on_train_batch_start(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Count the module, at the first batch: it tells the shape of an image."""
        if self.costs:
            return
        self.costs = count_costs(pl_module, batch)
        metrics = {COSTS[name].metric: value for name, value in self.costs.items()}
        for logger in trainer.loggers:
            logger.log_metrics(metrics, step=trainer.global_step)

    def on_validation_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule
    ) -> None:
        """Report the epoch. The module logs before: in ``on_validation_epoch_end`` it
        would be too early.
        """
        trial = current_trial()
        epoch = trainer.current_epoch + 1
        is_told = epoch <= self.last_epoch
        # There are validations before and after, which are of no epoch.
        is_training = trainer.state.fn == "fit" and not trainer.sanity_checking
        if trial is None or is_told or not is_training:
            return
        self.last_epoch = epoch
        score = self._read_score(trainer)
        try:
            trial.report(epoch, *self._list_values(trial, score))
        except Raced:
            _close_loggers(trainer)
            raise

    def _read_score(self, trainer: pl.Trainer) -> float:
        """The score of the epoch. Raises :class:`~paretune.errors.ConfigError` if the
        module has logged none of this name.
        """
        metrics = trainer.callback_metrics
        if self.metric not in metrics:
            names = ", ".join(sorted(metrics)) or "nothing"
            raise ConfigError(
                f"ReportToSweep(metric=`{self.metric}`) is not logged by the module; it "
                f"logs {names}; name one of these, or log it in the validation"
            )
        return float(metrics[self.metric])

    def _list_values(self, trial: TrialHandle, score: float) -> list[float]:
        """The values that the sweep asks for."""
        if trial.objectives != COST_AND_SCORE:
            return [score]
        if self.cost not in self.costs:
            raise ConfigError(
                f"ReportToSweep(cost=`{self.cost}`) cannot be counted, as the module "
                "does not run on one image alone; take cost=params"
            )
        return [self.costs[self.cost], score]


def count_model(config: DictConfig) -> int:
    """The trainable parameters of the module that ``config.model`` is the settings of,
    by its ``_target_``: for ``hydra.sweeper.cap.count``. Without memory for its weights,
    where it can be made so.
    """
    from paretune.models.tracing import count_parameters

    try:
        with torch.device("meta"):
            module = instantiate(config.model)
    except (InstantiationException, NotImplementedError, RuntimeError):
        module = instantiate(config.model)
    return count_parameters(module)


def count_costs(module: pl.LightningModule, batch: Any) -> dict[str, float]:
    """The costs of a module by their names in :data:`paretune.costs.COSTS`.

    Of a ``batch``, whose first part is images ``(B, C, H, W)``, the shape of one is
    taken. Of a module that does not run on one image only the parameters are counted.
    """
    from paretune.models.tracing import count_parameters, measure_network

    costs: Mapping[str, float] = {"params": count_parameters(module)}
    shape = _find_image_shape(batch)
    if shape is not None:
        # It may raise anything: it is somebody's code, and not made for one image.
        try:
            costs = measure_network(module, shape).costs
        except Exception as error:
            log.debug("only the parameters are counted (%s)", error)
    return {name: float(value) for name, value in costs.items()}


def _find_image_shape(batch: Any) -> tuple[int, ...] | None:
    """The shape of an image of the batch; ``None`` if that has another form."""
    images = batch[0] if isinstance(batch, list | tuple) and batch else batch
    shape = getattr(images, "shape", ())
    return tuple(shape[1:]) if len(shape) > 1 else None


def _close_loggers(trainer: pl.Trainer) -> None:
    """Close the loggers as those of a finished training. Lightning would close them as
    failed ones, so it does not find them.
    """
    for logger in trainer.loggers:
        logger.finalize("finished")
    trainer.loggers = []
