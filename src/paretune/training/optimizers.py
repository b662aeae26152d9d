"""Optimizers for tiny networks: Adam in an eigenbasis of the gradient's covariance, and
others by size and shape of the weights.
"""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.optim import AdamW, Optimizer

from paretune.errors import ConfigError, check_least

if TYPE_CHECKING:
    from pytorch_optimizer import Muon

EPSILON = 1e-8  # as Adam's, against a square of 0
FULL_MATRIX_WINS = 3000  # parameters up to which it was measured
MOST_PARAMETERS = 100_000  # of which it keeps hundreds of copies


class FullMatrix(Optimizer):
    """Adam's steps along the eigenvectors of a running covariance of the gradient.

    SOAP (Vyas et al. 2024, https://arxiv.org/abs/2409.11321) keeps such a basis for
    each side of each layer's weights, since one over all parameters of a large network
    would fit no machine. Here the parameters, in their order, are cut into equal blocks
    of at most ``block`` with a basis each, whatever layers they belong to; a network
    that fits into one block has the full matrix. Time and memory grow with ``block``
    times the number of parameters.

    ``betas`` average the gradient and its square, as in Adam, and the covariance, all a
    step. The bases are renewed every ``renew_every`` steps, by one step of the power
    iteration as in SOAP, and after 4, 8, 16, ... steps in the beginning; until the
    first renewal this is Adam. ``weight_decay`` is decoupled (Loshchilov and Hutter
    2017, https://arxiv.org/abs/1711.05101).

    Raises :class:`~paretune.errors.ConfigError` for a number below its least and for
    more than 100,000 parameters.
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
        settings = {
            "lr": lr,
            "betas": tuple(betas),
            "block": block,
            "renew_every": renew_every,
        }
        super().__init__(params, {**settings, "weight_decay": weight_decay})
        count = sum(
            parameter.numel()
            for group in self.param_groups
            for parameter in group["params"]
        )
        if count > MOST_PARAMETERS:
            raise ConfigError(
                f"optimizer `full_matrix` is too large for a network of {count:,} "
                "parameters; "
                f"expected at most {MOST_PARAMETERS:,}; use optimizer=soap or "
                "optimizer=adamw"
            )

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Change the parameters by their gradients."""
        for group in self.param_groups:
            parameters = group["params"]
            gradient = torch.cat([_gradient(parameter) for parameter in parameters])
            # Of the whole group, as torch's LBFGS keeps it.
            state = self.state[parameters[0]]
            if not state:
                state.update(_initial_state(gradient, group["block"]))
            update = _update(state, group, gradient)
            parts = torch.split(update, [parameter.numel() for parameter in parameters])
            if group["weight_decay"]:
                torch._foreach_mul_(parameters, 1 - group["lr"] * group["weight_decay"])
            changes = [
                part.view_as(parameter)
                for parameter, part in zip(parameters, parts, strict=True)
            ]
            torch._foreach_sub_(parameters, changes, alpha=group["lr"])


def _gradient(parameter: Tensor) -> Tensor:
    gradient = parameter.grad
    return (
        parameter.new_zeros(parameter.numel())
        if gradient is None
        else gradient.reshape(-1)
    )


def _initial_state(gradient: Tensor, block: int) -> dict[str, Any]:
    blocks = gradient.tensor_split(-(-len(gradient) // block))
    bases = [
        torch.eye(len(part), dtype=gradient.dtype, device=gradient.device)
        for part in blocks
    ]
    covariances = [torch.zeros_like(basis) for basis in bases]
    # In the bases.
    mean, square = torch.zeros_like(gradient), torch.zeros_like(gradient)
    return {
        "step": 0,
        "mean": mean,
        "square": square,
        "bases": bases,
        "covariances": covariances,
        "gradients": [],
    }


def _update(state: dict[str, Any], group: dict[str, Any], gradient: Tensor) -> Tensor:
    """The change of the parameters for a learning rate of 1."""
    first, second, third = group["betas"]
    state["step"] += 1
    state["gradients"].append(gradient)
    if _is_renewal(state["step"], group["renew_every"]):
        _renew(state, third)
    sizes = [len(basis) for basis in state["bases"]]
    rotated = torch.cat(
        [
            basis.T @ part
            for basis, part in zip(
                state["bases"], torch.split(gradient, sizes), strict=True
            )
        ]
    )
    mean = state["mean"].lerp_(rotated, 1 - first) / (1 - first ** state["step"])
    square = state["square"].lerp_(rotated.square(), 1 - second) / (
        1 - second ** state["step"]
    )
    update = mean / square.sqrt_().add_(EPSILON)
    return torch.cat(
        [
            basis @ part
            for basis, part in zip(
                state["bases"], torch.split(update, sizes), strict=True
            )
        ]
    )


def _is_renewal(step: int, renew_every: int) -> bool:
    return step % renew_every == 0 or (
        4 <= step < renew_every and step.bit_count() == 1
    )


def _renew(state: dict[str, Any], decay: float) -> None:
    """Add the gradients since the last renewal to the covariances, turn the bases
    towards their eigenvectors.
    """
    # One product for all: each gradient's own would take a step's time.
    gradients = torch.stack(state["gradients"])
    ages = torch.arange(
        len(gradients) - 1, -1, -1, dtype=gradients.dtype, device=gradients.device
    )
    gradients *= ((1 - decay) * decay**ages).sqrt_().unsqueeze(1)
    sizes = [len(basis) for basis in state["bases"]]
    means, squares = (
        torch.split(state["mean"], sizes),
        torch.split(state["square"], sizes),
    )
    for index, part in enumerate(torch.split(gradients, sizes, dim=1)):
        basis = state["bases"][index]
        covariance = (
            state["covariances"][index]
            .mul_(decay ** len(gradients))
            .addmm_(part.T, part)
        )
        product = covariance @ basis
        order = (basis * product).sum(0).argsort(descending=True)
        renewed = torch.linalg.qr(product[:, order])[0]
        turn = renewed.T @ basis
        means[index].copy_(turn @ means[index])
        # As far as the bases agree.
        squares[index].copy_(turn.square() @ squares[index])
        state["bases"][index] = renewed
    state["gradients"] = []


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
    is_small = sum(weight.numel() for weight in weights) <= FULL_MATRIX_WINS
    optimizer, own_lr, own_decay = (
        (FullMatrix, 0.04, 0.0) if is_small else (AdamW, 0.005, 0.01)
    )
    lr, weight_decay = (
        own_lr if lr is None else lr,
        own_decay if weight_decay is None else weight_decay,
    )
    return optimizer(weights, lr=lr, weight_decay=weight_decay)


def muon(parameters: Iterable[Tensor], **settings: Any) -> "Muon":
    """Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon) for weights
    of two or more axes, AdamW for vectors.
    """
    from pytorch_optimizer import Muon

    groups: dict[bool, list[Tensor]] = {True: [], False: []}
    for parameter in parameters:
        groups[parameter.ndim > 1].append(parameter)
    return Muon(
        [
            {"params": group, "use_muon": matrices}
            for matrices, group in groups.items()
            if group
        ],
        **settings,
    )
