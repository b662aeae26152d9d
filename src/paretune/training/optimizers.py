"""Optimizers for tiny networks: Adam in an eigenbasis of the gradient's covariance, and
others by size and shape of the weights.
"""

from collections.abc import Callable, Iterable, Sequence
from math import ceil
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.optim import AdamW, Optimizer

from paretune.errors import check_least
from paretune.settings import FULL_MATRIX_WINS

if TYPE_CHECKING:
    from pytorch_optimizer import Muon

# As Adam's, against a square of 0.
EPSILON = 1e-8
# Numbers that all bases together may have, a quarter of a gigabyte beside their
# covariances: blocks of 350 up to 100,000 parameters.
MOST_BASIS_NUMBERS = 35_000_000


class FullMatrix(Optimizer):
    """Adam's steps along the eigenvectors of a running covariance of the gradient.

    SOAP (Vyas et al. 2024, https://arxiv.org/abs/2409.11321) keeps such a basis for
    each side of each layer's weights, since one over all parameters of a large network
    would fit no machine. Here the parameters, in their order, are cut into equal blocks
    of at most ``block`` with a basis each, whatever layers they belong to; a network
    that fits into one block has the full matrix. Time and memory grow with ``block``
    times the number of parameters, so that blocks are smaller in a network of more than
    100,000.

    ``betas`` average the gradient and its square, as in Adam, and the covariance, all a
    step. The bases are renewed every ``renew_every`` steps, by one step of the power
    iteration as in SOAP, and after 4, 8, 16, ... steps in the beginning; until the
    first renewal this is Adam. ``weight_decay`` is decoupled (Loshchilov and Hutter
    2017, https://arxiv.org/abs/1711.05101).

    Raises :class:`~paretune.errors.ConfigError` for a number below its least.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 0.04,
        betas: tuple[float, float, float] = (0.9, 0.95, 0.99),
        block: int = 350,
        renew_every: int = 100,
        weight_decay: float = 0.0,
    ) -> None:
        check_least("optimizer.block", block, 1)
        check_least("optimizer.renew_every", renew_every, 1)
        defaults = {
            "lr": lr,
            "betas": tuple(betas),
            "block": block,
            "renew_every": renew_every,
            "weight_decay": weight_decay,
        }
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Change the parameters by their gradients."""
        for group in self.param_groups:
            self._step_group(group)

    def _step_group(self, group: dict[str, Any]) -> None:
        parameters = group["params"]
        gradient = torch.cat([_flatten_gradient(weight) for weight in parameters])
        # Of the whole group, as torch's LBFGS keeps it.
        state = self.state[parameters[0]]
        if not state:
            state.update(_make_state(gradient, group["block"]))
        update = _make_update(state, group, gradient)
        if group["weight_decay"]:
            torch._foreach_mul_(parameters, 1 - group["lr"] * group["weight_decay"])
        changes = _unflatten(update, parameters)
        torch._foreach_sub_(parameters, changes, alpha=group["lr"])


def _flatten_gradient(parameter: Tensor) -> Tensor:
    if parameter.grad is None:
        return parameter.new_zeros(parameter.numel())
    return parameter.grad.reshape(-1)


def _unflatten(update: Tensor, parameters: Sequence[Tensor]) -> list[Tensor]:
    """The parts of ``update`` ``(N,)`` in the shapes of the parameters."""
    parts = torch.split(update, [parameter.numel() for parameter in parameters])
    return [
        part.view_as(parameter)
        for part, parameter in zip(parts, parameters, strict=True)
    ]


def _make_state(gradient: Tensor, block: int) -> dict[str, Any]:
    """The state of a group before its first step; ``mean`` and ``square`` are in the
    bases.
    """
    most = max(MOST_BASIS_NUMBERS // len(gradient), 1)
    number_of_blocks = ceil(len(gradient) / min(block, most))
    sizes = [len(part) for part in gradient.tensor_split(number_of_blocks)]
    bases = [_make_identity(size, gradient) for size in sizes]
    return {
        "step": 0,
        "mean": torch.zeros_like(gradient),
        "square": torch.zeros_like(gradient),
        "bases": bases,
        "covariances": [torch.zeros_like(basis) for basis in bases],
        "gradients": [],
    }


def _make_identity(size: int, like: Tensor) -> Tensor:
    return torch.eye(size, dtype=like.dtype, device=like.device)


def _make_update(
    state: dict[str, Any], group: dict[str, Any], gradient: Tensor
) -> Tensor:
    """The change of the parameters for a learning rate of 1."""
    mean_decay, square_decay, covariance_decay = group["betas"]
    state["step"] += 1
    state["gradients"].append(gradient)
    if _is_renewal(state["step"], group["renew_every"]):
        _renew(state, covariance_decay)

    bases = state["bases"]
    rotated = _multiply_blocks([basis.T for basis in bases], gradient)
    mean = state["mean"].lerp_(rotated, 1 - mean_decay)
    square = state["square"].lerp_(rotated.square(), 1 - square_decay)
    unbiased_mean = mean / (1 - mean_decay ** state["step"])
    unbiased_square = square / (1 - square_decay ** state["step"])
    update = unbiased_mean / unbiased_square.sqrt_().add_(EPSILON)
    return _multiply_blocks(bases, update)


def _multiply_blocks(matrices: Sequence[Tensor], values: Tensor) -> Tensor:
    """Each square matrix times its part of ``values`` ``(N,)``, one after the other."""
    parts = torch.split(values, [len(matrix) for matrix in matrices])
    return torch.cat(
        [matrix @ part for matrix, part in zip(matrices, parts, strict=True)]
    )


def _is_renewal(step: int, renew_every: int) -> bool:
    is_early_power_of_2 = 4 <= step < renew_every and step.bit_count() == 1
    return step % renew_every == 0 or is_early_power_of_2


def _renew(state: dict[str, Any], decay: float) -> None:
    """Add the gradients since the last renewal to the covariances, turn the bases
    towards their eigenvectors.
    """
    gradients = _weigh_by_age(state["gradients"], decay)
    sizes = [len(basis) for basis in state["bases"]]
    means = torch.split(state["mean"], sizes)
    squares = torch.split(state["square"], sizes)
    parts = torch.split(gradients, sizes, dim=1)
    for index, part in enumerate(parts):
        covariance = state["covariances"][index]
        covariance.mul_(decay ** len(gradients)).addmm_(part.T, part)
        basis = state["bases"][index]
        renewed = _turn_towards_eigenvectors(basis, covariance)
        turn = renewed.T @ basis
        means[index].copy_(turn @ means[index])
        # As far as the bases agree.
        squares[index].copy_(turn.square() @ squares[index])
        state["bases"][index] = renewed
    state["gradients"] = []


def _weigh_by_age(gradients: Sequence[Tensor], decay: float) -> Tensor:
    """Rows ``(steps, N)`` whose products with themselves add up to a running
    covariance.

    One product for all: each gradient's own would take a step's time.
    """
    rows = torch.stack(list(gradients))
    ages = torch.arange(len(rows) - 1, -1, -1, dtype=rows.dtype, device=rows.device)
    weights = (1 - decay) * decay**ages
    return rows.mul_(weights.sqrt_().unsqueeze(1))


def _turn_towards_eigenvectors(basis: Tensor, covariance: Tensor) -> Tensor:
    """The basis after a step of the power iteration, the largest eigenvalue first."""
    product = covariance @ basis
    eigenvalues = (basis * product).sum(0)
    order = eigenvalues.argsort(descending=True)
    renewed: Tensor = torch.linalg.qr(product[:, order])[0]
    return renewed


def by_size(
    parameters: Iterable[Tensor],
    lr: float | None = None,
    weight_decay: float | None = None,
) -> Optimizer:
    """:class:`FullMatrix` for at most 3,000 parameters, where it won
    (docs/performance.md), else AdamW.

    ``None`` is that optimizer's own: a rate of 0.04 without decay, and of 0.005 with a
    decay of 0.01.
    """
    weights = list(parameters)
    if sum(weight.numel() for weight in weights) <= FULL_MATRIX_WINS:
        return FullMatrix(
            weights,
            lr=0.04 if lr is None else lr,
            weight_decay=0.0 if weight_decay is None else weight_decay,
        )
    return AdamW(
        weights,
        lr=0.005 if lr is None else lr,
        weight_decay=0.01 if weight_decay is None else weight_decay,
    )


def muon(parameters: Iterable[Tensor], **settings: Any) -> "Muon":
    """Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon) for weights
    of two or more axes, AdamW for vectors.
    """
    from pytorch_optimizer import Muon

    vectors: list[Tensor] = []
    matrices: list[Tensor] = []
    for parameter in parameters:
        if parameter.ndim > 1:
            matrices.append(parameter)
        else:
            vectors.append(parameter)

    groups: list[dict[str, Any]] = []
    if matrices:
        groups.append({"params": matrices, "use_muon": True})
    if vectors:
        groups.append({"params": vectors, "use_muon": False})
    return Muon(groups, **settings)
