"""What a model costs in trainable parameters, and the cap that it may not exceed."""

from dataclasses import dataclass

from torch import nn

from paretune.errors import CapError, check_least


def count_parameters(model: nn.Module) -> int:
    """Number of trainable scalars: weights, biases, norm scale and shift, learnable activations.

    A tensor that several layers share counts once; buffers (a batch norm's running statistics) and frozen tensors
    do not count.
    """
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


@dataclass(frozen=True, slots=True)
class Cap:
    """The hard upper bound on a model's parameters, and the size below which fewer are worth nothing to a sweep.

    ``None`` means that there is none. Models below ``min_params`` may be trained.
    """

    max_params: int | None = None
    min_params: int | None = None

    def __post_init__(self) -> None:
        check_least("cap.max_params", self.max_params, 1, null=True)
        check_least("cap.min_params", self.min_params, 1, null=True)

    def fits(self, params: int) -> bool:
        """Whether a model of ``params`` parameters may be trained."""
        return self.max_params is None or params <= self.max_params

    def check(self, model: str, params: int) -> None:
        """Raise :class:`~paretune.errors.CapError` if ``model`` may not be trained."""
        if not self.fits(params):
            raise CapError(
                f"model `{model}` has {params:,} parameters, {params - self.max_params:,} over the cap; "  # type: ignore[operator]
                f"expected at most {self.max_params:,}; make it smaller or raise cap.max_params"
            )
