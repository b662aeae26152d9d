"""Averages of the weights along the way, which often score better than the last ones."""

from dataclasses import dataclass

from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from paretune.errors import ConfigError

__all__ = ["Average", "Averaging"]

KINDS = ("ema", "swa")


@dataclass(frozen=True)
class Averaging:
    """Which average is scored and kept: ``ema`` or ``swa``; ``None`` for none.

    ``ema``: after every optimizer step the average moves to the weights by 1 - ``decay`` (Polyak and Juditsky 1992,
    https://doi.org/10.1137/0330046). ``swa``: the mean over the epochs from the share ``start`` of the training on (Izmailov
    et al. 2018, https://arxiv.org/abs/1803.05407). Running statistics of norms are averaged, too.
    """

    kind: str | None = None
    decay: float = 0.999
    start: float = 0.75

    def __post_init__(self) -> None:
        if self.kind is not None and self.kind not in KINDS:
            message = f"averaging `{self.kind}` is unknown; expected ema, swa or null; set trainer.averaging.kind"
            raise ConfigError(message)
        for name in ("decay", "start"):
            if not 0 <= getattr(self, name) < 1:
                message = f"trainer.averaging.{name} `{getattr(self, name)}` is no share; expected at least 0 and below 1; set it so"
                raise ConfigError(message)


class Average:
    """The average of a network in training."""

    def __init__(self, net: nn.Module, averaging: Averaging, max_epochs: int) -> None:
        self.net, self.kind = net, averaging.kind
        self.first_epoch = int(averaging.start * max_epochs) if self.kind == "swa" else 0
        rule = get_ema_multi_avg_fn(averaging.decay) if self.kind == "ema" else None  # type: ignore[no-untyped-call]
        self.model = AveragedModel(net, multi_avg_fn=rule, use_buffers=True).eval() if self.kind else None
        self.begun = False

    @property
    def scored(self) -> nn.Module:
        """The network to validate and to keep."""
        return self.model.module if self.model is not None and self.begun else self.net

    def after_step(self) -> None:
        """An optimizer step was made."""
        if self.kind == "ema":
            self._add()

    def after_epoch(self, epoch: int) -> None:
        """The training part of ``epoch`` (from 0) is over."""
        if self.kind == "swa" and epoch >= self.first_epoch:
            self._add()

    def _add(self) -> None:
        assert self.model is not None
        self.model.update_parameters(self.net)
        self.begun = True
