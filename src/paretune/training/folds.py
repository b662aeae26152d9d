"""Scores of few images: what networks that were trained on the other folds say of each
fold, taken together.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torchmetrics.functional.classification import multiclass_f1_score

from paretune.atomic import atomically
from paretune.data.images import ImageData, Scaling
from paretune.training.epochs import Epoch
from paretune.training.fit import Trained
from paretune.training.settings import Training

BATCH_SIZE = 500


@dataclass(frozen=True)
class Fold:
    """A fold as a network says it that was trained on the others: the classes of
    its images, those that the network gives them, the sum of its losses in nats, and
    the seconds of the training.
    """

    labels: tuple[int, ...]
    predicted: tuple[int, ...]
    loss_sum: float
    train_loss: float
    seconds: float

    @classmethod
    def score(
        cls, net: nn.Module, data: ImageData, training: Training, trained: Trained
    ) -> Self:
        """The answers of the ``trained`` network for the validation images of ``data``."""
        scaling = data.make_scaling(training.scaling)
        logits = _compute_logits(net, data.val.pixels, scaling)
        labels = data.val.labels
        return cls(
            labels=tuple(labels.tolist()),
            predicted=tuple(logits.argmax(1).tolist()),
            loss_sum=float(cross_entropy(logits, labels, reduction="sum")),
            train_loss=trained.epochs[-1].train_loss,
            seconds=trained.seconds,
        )


@torch.no_grad()
def _compute_logits(net: nn.Module, pixels: Tensor, scaling: Scaling) -> Tensor:
    """Logits ``(N, num_classes)`` of uint8 pixels ``(N, C, H, W)``, in fp32 on the
    CPU.
    """
    net = net.to("cpu").eval()
    logits: list[Tensor] = []
    for batch in torch.split(pixels.cpu(), BATCH_SIZE):
        logits.append(net(scaling(batch.to(torch.float32))))
    return torch.cat(logits)


def pool(folds: Sequence[Fold], num_classes: int, number: int) -> Epoch:
    """The scores over the images of all ``folds``, as those of epoch ``number``."""
    labels = torch.tensor([label for fold in folds for label in fold.labels])
    predicted = torch.tensor([label for fold in folds for label in fold.predicted])
    f1 = multiclass_f1_score(predicted, labels, num_classes, average="macro")
    return Epoch(
        number=number,
        train_loss=float(np.mean([fold.train_loss for fold in folds])),
        val_loss=sum(fold.loss_sum for fold in folds) / len(labels),
        val_f1=float(f1),
        val_accuracy=float((labels == predicted).float().mean()),
        seconds=folds[-1].seconds,
    )


def seed_fold(training: Training, fold: int) -> Training:
    """The training of the fold of this number: the first has the seed of the
    ``training``, the others derive theirs.
    """
    if fold == 0:
        return training
    seeds = np.random.SeedSequence(training.seed).generate_state(fold)
    return replace(training, seed=int(seeds[-1]))


def save_folds(path: Path, folds: Sequence[Fold], config: Mapping[str, Any]) -> None:
    """Write the ``folds`` that are done of the training of a plain ``config``."""
    content = {"config": dict(config), "folds": [asdict(fold) for fold in folds]}
    with atomically(path) as partial:
        partial.write_text(json.dumps(content), encoding="utf-8")


def load_folds(path: Path, config: Mapping[str, Any], number: int) -> list[Fold]:
    """The first ``number`` folds that are done; none where they are missing or of
    another config, so that the training begins anew.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        same = content["config"] == json.loads(json.dumps(dict(config)))
        folds = [_read_fold(plain) for plain in content["folds"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    if not same or len(folds) < number:
        return []
    return folds[:number]


def _read_fold(plain: Mapping[str, Any]) -> Fold:
    labels = tuple(plain["labels"])
    predicted = tuple(plain["predicted"])
    return Fold(**{**plain, "labels": labels, "predicted": predicted})
