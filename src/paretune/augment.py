"""Changing training images at random: a batch in, a batch out, the generator passed
in.
"""

from dataclasses import dataclass, replace
from math import pi

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample, interpolate

from paretune.errors import ConfigError, check_choice

# Of the grid that bends an image.
KNOTS_A_SIDE = 7


def unchanged(images: Tensor, draws: torch.Generator, strength: float = 1.0) -> Tensor:
    """The images as they are."""
    return images


@dataclass(frozen=True, kw_only=True)
class Affine:
    """Rotates, shifts, scales, shears and bends each image by its own uniform draw, all
    images in one warp. Signals, which are images of height one, are shifted, scaled and
    bent along their row alone.

    ``rotation_deg`` and ``shear_deg`` are the largest angles either way, ``shift`` the
    largest shift either way as a share of the side, ``scale`` the largest change of
    size either way (0.1: 0.9 to 1.1). ``elastic`` is the largest shift along a side of
    each of 7 x 7 knots, a share of the side, too; what is between them moves smoothly
    (Simard, Steinkraus and Platt 2003, "Best practices for convolutional neural
    networks applied to visual document analysis",
    https://doi.org/10.1109/ICDAR.2003.1227801). Pixels from outside are ``fill`` (0 to
    255); ``interpolation`` is nearest or bilinear.
    """

    rotation_deg: float = 0.0
    shift: float = 0.0
    scale: float = 0.0
    shear_deg: float = 0.0
    elastic: float = 0.0
    interpolation: str = "bilinear"
    fill: float = 0.0

    def __post_init__(self) -> None:
        check_choice(
            "augment.interpolation", self.interpolation, ("nearest", "bilinear")
        )
        if not 0 <= self.scale < 1:
            raise ConfigError(
                f"augment.scale `{self.scale}` is invalid; expected at least 0 and "
                "below 1; set augment.scale"
            )

    def __call__(
        self, images: Tensor, draws: torch.Generator, strength: float = 1.0
    ) -> Tensor:
        """Warped float images, same shape ``(B, C, H, W)``; ``strength`` (0 to 1)
        shrinks every draw.
        """
        grid = self._draw_affine_grid(images, draws, strength)
        if self.elastic:
            grid = grid + self._draw_bends(images, draws, strength)
        if images.shape[2] == 1:  # a signal stays in its row
            grid = grid * torch.tensor([1.0, 0.0], device=grid.device)
        sampled = grid_sample(
            images - self.fill, grid, mode=self.interpolation, align_corners=False
        )
        return sampled + self.fill

    def _draw_affine_grid(
        self, images: Tensor, draws: torch.Generator, strength: float
    ) -> Tensor:
        """Where each output pixel comes from, ``(B, H, W, 2)`` in units of half the
        side.
        """
        height, width = images.shape[2:]
        still = self if height > 1 else replace(self, rotation_deg=0.0, shear_deg=0.0)
        maps = still._draw_inverse_maps(len(images), draws, strength).to(images.device)
        # What turns and slants goes by pixels, not by sides.
        maps[:, 0, 1] *= height / width
        maps[:, 1, 0] *= width / height
        return affine_grid(maps, list(images.shape), align_corners=False)

    def _draw_bends(
        self, images: Tensor, draws: torch.Generator, strength: float
    ) -> Tensor:
        """How far each output pixel's place moves, ``(B, H, W, 2)`` in units of half
        the side.
        """
        shape = (len(images), 2, KNOTS_A_SIDE, KNOTS_A_SIDE)
        largest = 2 * self.elastic * strength
        knots = _draw_either_way(shape, draws) * largest
        bends = interpolate(
            knots.to(images.device),
            list(images.shape[2:]),
            mode="bicubic",
            align_corners=True,
        )
        return bends.permute(0, 2, 3, 1)

    def _draw_inverse_maps(
        self, count: int, draws: torch.Generator, strength: float
    ) -> Tensor:
        """From each output place to its input place, ``(count, 2, 3)`` in units of half
        the side, as ``affine_grid`` wants.
        """
        drawn = _draw_either_way((5, count), draws) * strength
        rotation, shear, scale, *shift = drawn.unbind()

        turned = _turn_and_slant(
            rotation * (self.rotation_deg * pi / 180),
            shear * (self.shear_deg * pi / 180),
        )
        size = (1 + scale * self.scale).reshape(count, 1, 1)
        inverse = torch.linalg.inv(turned * size)

        moved = torch.stack(shift, dim=1).unsqueeze(2) * (2 * self.shift)
        return torch.cat([inverse, -inverse @ moved], dim=2)


def _draw_either_way(shape: tuple[int, ...], draws: torch.Generator) -> Tensor:
    """Uniform numbers from -1 to 1."""
    return torch.rand(shape, generator=draws) * 2 - 1


def _turn_and_slant(angle: Tensor, shear: Tensor) -> Tensor:
    """Matrices ``(B, 2, 2)`` that slant along x, then turn, by angles ``(B,)`` in
    radians.
    """
    slant = torch.tan(shear)
    cos = angle.cos()
    sin = angle.sin()
    rows = [cos, cos * slant - sin, sin, sin * slant + cos]
    return torch.stack(rows, dim=1).reshape(len(angle), 2, 2)
