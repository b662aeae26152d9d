import pytest
import torch

from paretune.augment import Affine, unchanged
from paretune.errors import ConfigError


def draws(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(count: int = 8) -> torch.Tensor:
    return torch.randint(0, 256, (count, 1, 28, 28), generator=draws(9)).float()


@pytest.fixture
def largest(monkeypatch):
    """Every draw is the largest change in the positive direction."""
    monkeypatch.setattr(torch, "rand", lambda *shape, generator: torch.ones(*shape))  # noqa: PLW0108


def test_no_change_asked_is_no_change():
    assert torch.allclose(Affine()(images(), draws()), images(), atol=1e-2)
    assert unchanged(images(), draws()).equal(images())


def test_a_quarter_turn_is_a_quarter_turn(largest):
    turned = Affine(rotation_deg=90.0)(images(), draws())

    assert torch.allclose(turned, torch.rot90(images(), -1, (2, 3)), atol=0.1)


def test_a_shift_of_a_quarter_moves_the_image_seven_pixels_and_fills_with_the_fill(
    largest,
):
    moved = Affine(shift=0.25, fill=7.0)(images(), draws())

    assert torch.allclose(moved[..., 7:, 7:], images()[..., :-7, :-7], atol=0.1)
    assert torch.allclose(moved[..., :6, :], torch.tensor(7.0))


def test_scale_makes_larger(largest):
    small = torch.zeros(1, 1, 28, 28)
    small[..., 10:18, 10:18] = 255
    grown = Affine(scale=0.5)(small, draws())

    assert grown.sum().item() == pytest.approx(1.5**2 * small.sum().item(), rel=0.02)


def test_shear_slants_columns_and_keeps_rows(largest):
    bar = torch.zeros(1, 1, 28, 28)
    bar[..., 13:15] = 255
    slanted = Affine(shear_deg=20.0)(bar, draws())
    centres = (slanted[0, 0] * torch.arange(28)).sum(1) / slanted[0, 0].sum(1)

    assert (centres[27] - centres[0]).abs() == pytest.approx(27 * 0.364, abs=0.6)


def test_every_image_gets_its_own_draw_and_a_seed_makes_the_same():
    same = images(1).repeat(2, 1, 1, 1)
    affine = Affine(rotation_deg=10, shift=0.1, scale=0.1, shear_deg=5)
    first, second = affine(same, draws(1)), affine(same, draws(1))

    assert first.equal(second)
    assert not torch.allclose(first[0], first[1])


def test_nearest_keeps_the_grey_levels():
    turned = Affine(rotation_deg=15, interpolation="nearest")(images().round(), draws())

    assert set(turned.flatten().tolist()) <= {0.0, *images().round().flatten().tolist()}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"interpolation": "cubic"},
            r"augment.interpolation `cubic` is unknown; expected nearest or bilinear",
        ),
        (
            {"scale": 1.5},
            r"augment.scale `1.5` is invalid; expected at least 0 and below 1",
        ),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        Affine(**settings)


def test_a_turn_on_an_image_that_is_not_square_is_the_same_turn(largest):
    bar = torch.zeros(1, 1, 24, 96)
    bar[..., 11:13, 20:76] = 255
    turned = Affine(rotation_deg=10.0)(bar, draws())[0, 0]
    middle = [
        float((turned[:, column] * torch.arange(24)).sum() / turned[:, column].sum())
        for column in (30, 66)
    ]

    assert abs(middle[1] - middle[0]) == pytest.approx(36 * 0.176, abs=0.3)


def test_bends_move_what_is_between_the_knots_by_no_more_than_the_knots(largest):
    """Where every knot moves alike, the whole image does."""
    moved = Affine(elastic=0.25)(images(), draws())

    assert torch.allclose(moved[..., :-7, :-7], images()[..., 7:, 7:], atol=0.1)


def test_bends_differ_within_an_image_and_change_no_other_draw():
    lines = torch.zeros(1, 1, 28, 28)
    lines[..., 13:15] = 255
    bent = Affine(elastic=0.1)(lines, draws())[0, 0]
    centres = (bent * torch.arange(28)).sum(1) / bent.sum(1)

    assert centres.max() - centres.min() > 1
    assert Affine(rotation_deg=9.0, elastic=1e-9)(lines, draws()).allclose(
        Affine(rotation_deg=9.0)(lines, draws())
    )
