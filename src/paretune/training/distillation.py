"""Learning from a larger network that is trained already, besides the labels."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, kl_div, log_softmax, softmax

from paretune.data.images import ImageData
from paretune.errors import ConfigError
from paretune.schema import DistillationSettings
from paretune.training import load
from paretune.trust import Trust

# Images that the teacher is asked for at once: their maps should fit the processor's
# cache.
BATCH_SIZE = 256

SoftLabels = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Distillation(DistillationSettings):
    """How much of the loss comes from a teacher's probabilities. ``trust``: whose code
    the teacher's file may name.
    """

    trust: Trust = field(default_factory=Trust)

    def teacher_for(self, data: ImageData, device: torch.device) -> SoftLabels | None:
        """What gives the teacher's probabilities ``(B, num_classes)`` of pixels ``(B,
        C, H, W)`` in [0, 255], on ``device``.

        Where images are augmented it is asked for every one as the student sees it,
        else once for all (Beyer et al. 2022, "A good teacher is patient and
        consistent", https://arxiv.org/abs/2106.05237). Raises
        :class:`~paretune.errors.StoreError` for a file that is no checkpoint or names
        other code than ``trust`` allows, :class:`~paretune.errors.ConfigError` for a
        teacher of other images or classes.
        """
        if self.teacher is None:
            return None
        net, config, scaling = load(Path(self.teacher), self.trust)
        shape, classes = (
            config["model"].get("image_shape"),
            config["model"].get("num_classes"),
        )
        taught = config.get("data", {}).get("name", data.name)
        if (
            [*data.train.pixels.shape[1:]] != shape
            or classes != data.num_classes
            or taught != data.name
        ):
            raise ConfigError(
                f"teacher `{self.teacher}` was trained on `{taught}`, images {shape} "
                f"of {classes} classes; expected data "
                f"`{data.name}`; set trainer.distillation.teacher"
            )
        net = net.to(device)

        @torch.no_grad()
        def soft_labels(pixels: Tensor) -> Tensor:
            logits = torch.cat(
                [
                    net(scaling(part.to(torch.float32, copy=True)))
                    for part in torch.split(pixels, BATCH_SIZE)
                ]
            )
            return softmax(logits / self.temperature, dim=1)

        return soft_labels

    def loss(
        self,
        logits: Tensor,
        labels: Tensor,
        soft: Tensor | None = None,
        *,
        weights: Tensor | None = None,
        smoothing: float = 0.0,
    ) -> Tensor:
        """The loss in nats of logits ``(B, num_classes)``, by labels ``(B,)`` and the
        teacher's probabilities of the same images.

        ``weights`` ``(num_classes,)`` are those of the labels. The part that comes from
        the teacher is multiplied by the temperature's square, so that its gradient does
        not shrink.
        """
        # torch's mean divides by the weights of the batch, so that one class alone
        # would have none
        reduction = "mean" if weights is None else "sum"
        hard = cross_entropy(
            logits, labels, weights, label_smoothing=smoothing, reduction=reduction
        )
        hard = hard if weights is None else hard / len(labels)
        if soft is None:
            return hard
        taught = kl_div(
            log_softmax(logits / self.temperature, dim=1), soft, reduction="batchmean"
        )
        return (1 - self.weight) * hard + self.weight * self.temperature**2 * taught
