"""A Lightning training of anybody's takes part in a sweep by a callback."""

from pathlib import Path
from typing import Any

import mlflow
import pytest
import pytorch_lightning as pl
import torch
from omegaconf import OmegaConf
from pytorch_lightning.loggers import MLFlowLogger
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from paretune.errors import ConfigError, Raced
from paretune.lightning import ReportToSweep, count_model
from paretune.search import TrialHandle, make_current

# Of few workers that load, and of a Slurm that is there and not used.
pytestmark = pytest.mark.filterwarnings(
    "ignore::lightning_fabric.utilities.warnings.PossibleUserWarning"
)

IMAGES = TensorDataset(torch.zeros(8, 1, 6, 6), torch.zeros(8).long())
PARAMS = 36 * 3 + 3


class Module(pl.LightningModule):
    """Logs the number of each epoch as its score, after the validation."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(36, 3))

    def forward(self, images: Any) -> Any:
        return self.layers(images)

    def training_step(self, batch: Any, _: int) -> Any:
        return self(batch[0]).sum()

    def validation_step(self, batch: Any, _: int) -> None:
        self(batch[0])

    def on_validation_epoch_end(self) -> None:
        self.log("val/f1", float(self.current_epoch + 1))

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), 0.1)


def train(callback: ReportToSweep, handle: TrialHandle, logger: Any = False) -> None:
    trainer = pl.Trainer(
        max_epochs=3,
        accelerator="cpu",
        callbacks=[callback],
        logger=logger,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
    )
    loader = DataLoader(IMAGES, batch_size=8)
    with make_current(handle):
        trainer.fit(Module(), loader, loader)


def make_handle(reports: list[Any], objectives: int, last: int = 9) -> TrialHandle:
    """A trial that may stay until the epoch ``last``."""

    def may_stay(epoch: int, values: Any) -> bool:
        reports.append((epoch, *values))
        return epoch < last

    return TrialHandle("s", 0, 0, {}, may_stay=may_stay, objectives=objectives)


@pytest.mark.parametrize(
    ("objectives", "expected"),
    [
        (1, [(1, 1.0), (2, 2.0), (3, 3.0)]),
        (2, [(1, PARAMS, 1.0), (2, PARAMS, 2.0), (3, PARAMS, 3.0)]),
    ],
)
def test_each_epoch_is_reported_once_the_module_has_logged(objectives, expected):
    reports: list[Any] = []
    train(ReportToSweep("val/f1"), make_handle(reports, objectives))

    assert reports == expected


def test_any_cost_that_can_be_counted_is_reported():
    reports: list[Any] = []
    train(ReportToSweep("val/f1", cost="macs"), make_handle(reports, objectives=2))

    assert reports[0] == (1, 36 * 3, 1.0)


def test_a_trial_that_is_raced_ends_as_finished_in_the_logger(tmp_path: Path):
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    logger = MLFlowLogger("e", tracking_uri=uri)
    with pytest.raises(Raced):
        train(ReportToSweep("val/f1"), make_handle([], 1, last=2), logger)
    run = mlflow.MlflowClient(uri).get_run(logger.run_id)

    assert run.info.status == "FINISHED"
    assert run.data.metrics["n_params"] == PARAMS
    assert run.data.metrics["macs"] == 36 * 3


def test_a_metric_that_is_not_logged_is_refused_with_those_that_are():
    with pytest.raises(ConfigError) as refusal:
        train(ReportToSweep("val/acc"), make_handle([], 1))

    assert str(refusal.value) == (
        "ReportToSweep(metric=`val/acc`) is not logged by the module; it logs val/f1; "
        "name one of these, or log it in the validation"
    )


def test_an_unknown_cost_is_refused():
    with pytest.raises(ConfigError, match=r"ReportToSweep\(cost=...\) `size` is"):
        ReportToSweep("val/f1", cost="size")


def test_a_module_is_counted_by_its_settings():
    settings = {"model": {"_target_": "test_report_to_sweep.Module"}}

    assert count_model(OmegaConf.create(settings)) == PARAMS
