from copy import deepcopy

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch import Tensor, nn

from paretune import models
from paretune.errors import ConfigError
from paretune.paths import CONF
from paretune.training import schedule
from paretune.training.fit import fit, seed_everything
from paretune.training.optimizers import (
    MOST_BASIS_NUMBERS,
    FullMatrix,
    _make_state,
    by_size,
)
from paretune.training.settings import Training

OPTIMIZERS = sorted(path.stem for path in (CONF / "optimizer").glob("*.yaml"))
TURN = torch.linalg.qr(torch.randn(6, 6, generator=torch.Generator().manual_seed(1)))[0]
SCALES = torch.logspace(-3, 1, 6)
CURVATURE, ROOT = TURN @ SCALES.diag() @ TURN.T, TURN @ SCALES.sqrt().diag() @ TURN.T


def minimised(
    optimizer: torch.optim.Optimizer, point: Tensor, steps: int = 300
) -> float:
    """The value of a badly scaled and turned quadratic after so many steps on noisy
    gradients, the rate falling to 0.
    """
    rate, draws = optimizer.param_groups[0]["lr"], torch.Generator().manual_seed(0)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = rate * (1 - step / steps)
        point.grad = CURVATURE @ point.detach() + 0.3 * ROOT @ torch.randn(
            6, generator=draws
        )
        optimizer.step()
    return float(0.5 * point.detach() @ CURVATURE @ point.detach())


def after_noise(steps: int = 4000, **settings) -> FullMatrix:
    """An optimizer that has seen gradients of ``(x - noise)' A (x - noise) / 2``, whose
    covariance is A, at x = 0.
    """
    point, draws = nn.Parameter(torch.zeros(6)), torch.Generator().manual_seed(0)
    optimizer = FullMatrix([point], lr=0.0, **settings)
    for _ in range(steps):
        point.grad = ROOT @ torch.randn(6, generator=draws)
        optimizer.step()
    return optimizer


def test_the_preconditioner_of_a_noisy_quadratic_is_the_inverse_root_of_its_curvature():
    """In closed form: gradients of covariance A are multiplied by A^(-1/2)."""
    (state,) = after_noise(betas=(0.9, 0.999, 0.999), renew_every=20).state.values()
    (basis,) = state["bases"]
    preconditioner = basis @ torch.diag(state["square"].rsqrt()) @ basis.T

    whitened = preconditioner @ CURVATURE @ preconditioner
    torch.testing.assert_close(whitened, torch.eye(6), atol=0.15, rtol=0)


def test_a_turned_quadratic_is_solved_further_than_by_adam():
    full, adam = (nn.Parameter(3 * TURN.sum(1)) for _ in range(2))
    left = minimised(FullMatrix([full], lr=0.1, renew_every=10), full)

    assert left < 0.5 * minimised(
        torch.optim.Adam([adam], lr=0.1, betas=(0.9, 0.95)), adam
    )


def test_before_the_first_renewal_it_is_adam():
    full, adam = (nn.Parameter(torch.linspace(-1, 1, 5)) for _ in range(2))
    optimizers = (
        FullMatrix([full], lr=0.1, betas=(0.9, 0.99, 0.99)),
        torch.optim.Adam([adam], lr=0.1, betas=(0.9, 0.99)),
    )
    for _ in range(3):
        for optimizer, point in zip(optimizers, (full, adam), strict=True):
            point.grad = point.detach() ** 2 + 0.1
            optimizer.step()

    torch.testing.assert_close(full, adam)


def test_blocks_are_optimized_apart_from_each_other():
    both, first = nn.Parameter(torch.ones(8)), nn.Parameter(torch.ones(4))
    together, alone = (
        FullMatrix([both], block=4, renew_every=5),
        FullMatrix([first], block=4, renew_every=5),
    )
    draws = torch.Generator().manual_seed(0)
    for _ in range(20):
        both.grad = torch.randn(8, generator=draws)
        first.grad = both.grad[:4].clone()
        together.step()
        alone.step()

    torch.testing.assert_close(both[:4], first)


def test_a_parameter_without_a_gradient_stays():
    moved, left = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(3))
    moved.grad = torch.ones(3)
    FullMatrix([moved, left], weight_decay=0.0).step()

    assert torch.equal(left, torch.ones(3))
    assert (moved < 1).all()


def test_an_optimizer_goes_on_from_its_saved_state():
    optimizer = after_noise(steps=57)
    resumed = FullMatrix([nn.Parameter(torch.zeros(6))])
    resumed.load_state_dict(deepcopy(optimizer.state_dict()))
    for each in (optimizer, resumed):
        each.param_groups[0]["lr"] = 0.1
        each.param_groups[0]["params"][0].grad = torch.arange(6.0)
        each.step()

    assert torch.equal(
        optimizer.param_groups[0]["params"][0], resumed.param_groups[0]["params"][0]
    )


@pytest.mark.parametrize("setting", ["block", "renew_every"])
def test_a_setting_below_one_is_refused(setting):
    with pytest.raises(ConfigError, match=f"optimizer.{setting} `0`.*at least 1"):
        FullMatrix([nn.Parameter(torch.ones(1))], **{setting: 0})


@pytest.mark.parametrize(
    ("parameters", "largest"), [(100_000, 350), (200_000, 175), (3_000_000, 11)]
)
def test_blocks_of_a_large_network_are_smaller(parameters, largest):
    """So that a search may try it for any network, and memory is bounded."""
    state = _make_state(torch.zeros(parameters), block=350)

    assert max(len(basis) for basis in state["bases"]) <= largest
    assert sum(basis.numel() for basis in state["bases"]) <= MOST_BASIS_NUMBERS


def test_the_default_goes_by_the_number_of_parameters():
    small, large = nn.Parameter(torch.ones(3000)), nn.Parameter(torch.ones(3001))

    assert isinstance(by_size([small]), FullMatrix)
    assert isinstance(by_size([large], lr=0.02), torch.optim.AdamW)
    assert by_size([large], lr=0.02).defaults["lr"] == 0.02


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_of_the_configs_learns(name, tiny_data):
    optimizer = instantiate(OmegaConf.load(CONF / "optimizer" / f"{name}.yaml"))
    seed_everything(0)
    net = models.build({"_target_": "paretune.models.conv.Conv", "widths": [4, 4]})
    training = Training(
        optimizer=optimizer,
        schedule=schedule.constant,
        max_epochs=6,
        batch_size=8,
        device="cpu",
        patience=None,
    )
    trained = fit(net, tiny_data, training)

    assert trained.epochs[-1].train_loss < trained.epochs[0].train_loss
