"""The module and the data of the app, which know nothing of a sweep."""

import pytorch_lightning as pl
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset
from torchmetrics.classification import MulticlassF1Score


class Digits(pl.LightningDataModule):
    """Images ``(B, 1, 8, 8)`` of ten digits: the first thousand to train."""

    def setup(self, stage: str) -> None:
        """Load the images, which come along with scikit-learn."""
        digits = load_digits()
        images = torch.tensor(digits.images, dtype=torch.float32)[:, None] / 16
        labels = torch.tensor(digits.target)
        self.train = TensorDataset(images[:1000], labels[:1000])
        self.val = TensorDataset(images[1000:1400], labels[1000:1400])

    def train_dataloader(self) -> DataLoader:
        return DataLoader(self.train, batch_size=32, shuffle=True)

    def val_dataloader(self) -> DataLoader:
        return DataLoader(self.val, batch_size=400)


class Network(pl.LightningModule):
    """Two convolutions and a dense layer."""

    def __init__(self, first: int, second: int, lr: float) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.layers = nn.Sequential(
            nn.Conv2d(1, first, 3),
            nn.ReLU(),
            nn.Conv2d(first, second, 3, stride=2),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(4 * second, 10),
        )
        self.f1 = MulticlassF1Score(10)

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(images)

    def training_step(self, batch: list[Tensor], _: int) -> Tensor:
        images, labels = batch
        return nn.functional.cross_entropy(self(images), labels)

    def validation_step(self, batch: list[Tensor], _: int) -> None:
        images, labels = batch
        self.f1(self(images), labels)

    def on_validation_epoch_end(self) -> None:
        self.log("val/f1", self.f1)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.parameters(), lr=self.hparams.lr)
