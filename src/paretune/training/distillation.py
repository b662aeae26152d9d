"""Learning from a larger network that is trained already, besides the labels."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

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

    def load_teacher(self, data: ImageData, device: torch.device) -> SoftLabels | None:
        """A function from pixels ``(B, C, H, W)`` in [0, 255] on ``device`` to the
        teacher's probabilities ``(B, num_classes)``; ``None`` without a teacher.

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
        self._check_fit(config, data)
        net = net.to(device)

        def compute_logits(pixels: Tensor) -> Tensor:
            return net(scaling(pixels.to(torch.float32, copy=True)))  # type: ignore[no-any-return]

        @torch.no_grad()
        def compute_soft_labels(pixels: Tensor) -> Tensor:
            parts = torch.split(pixels, BATCH_SIZE)
            logits = torch.cat([compute_logits(part) for part in parts])
            return softmax(logits / self.temperature, dim=1)

        return compute_soft_labels

    def _check_fit(self, config: Mapping[str, Any], data: ImageData) -> None:
        """Raise :class:`~paretune.errors.ConfigError` for a teacher that was trained on
        other data.
        """
        shape = config["model"].get("image_shape")
        classes = config["model"].get("num_classes")
        taught = config.get("data", {}).get("name", data.name)
        has_shape = shape == list(data.train.pixels.shape[1:])
        if has_shape and classes == data.num_classes and taught == data.name:
            return
        raise ConfigError(
            f"teacher `{self.teacher}` was trained on `{taught}`, images {shape} of "
            f"{classes} classes; expected data `{data.name}`; set "
            "trainer.distillation.teacher"
        )

    def compute_loss(
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
        hard = _compute_hard_loss(logits, labels, weights, smoothing)
        if soft is None:
            return hard
        student = log_softmax(logits / self.temperature, dim=1)
        taught = kl_div(student, soft, reduction="batchmean")
        return (1 - self.weight) * hard + self.weight * self.temperature**2 * taught


def _compute_hard_loss(
    logits: Tensor, labels: Tensor, weights: Tensor | None, smoothing: float
) -> Tensor:
    """The mean loss by the labels alone."""
    if weights is None:
        return cross_entropy(logits, labels, label_smoothing=smoothing)
    # Torch's mean divides by the weights of the batch, so that one class alone would
    # have none.
    total = cross_entropy(
        logits, labels, weights, label_smoothing=smoothing, reduction="sum"
    )
    return total / len(labels)
