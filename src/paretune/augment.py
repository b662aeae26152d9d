"""Changing training images at random: a batch in, a batch out, the generator passed
in.
"""

from dataclasses import dataclass
from math import pi

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample, interpolate

from paretune.errors import ConfigError, check_choice

KNOTS = 7  # a side, of the grid that bends an image


def unchanged(images: Tensor, draws: torch.Generator, strength: float = 1.0) -> Tensor:
    """The images as they are."""
    return images


@dataclass(frozen=True, kw_only=True)
class Affine:
    """Rotates, shifts, scales, shears and bends each image by its own uniform draw, all
    images in one warp.

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
        theta, (height, width) = (
            self._inverse_maps(len(images), draws, strength).to(images.device),
            images.shape[2:],
        )
        # What turns and slants goes by pixels, not by sides.
        theta[:, 0, 1] *= height / width
        theta[:, 1, 0] *= width / height
        grid = affine_grid(theta, list(images.shape), align_corners=False)
        if self.elastic:
            knots = (
                torch.rand(len(images), 2, KNOTS, KNOTS, generator=draws) * 2 - 1
            ) * (2 * self.elastic * strength)
            bends = interpolate(
                knots.to(images.device),
                list(images.shape[2:]),
                mode="bicubic",
                align_corners=True,
            )
            grid = grid + bends.permute(0, 2, 3, 1)
        sampled = grid_sample(
            images - self.fill, grid, mode=self.interpolation, align_corners=False
        )
        return sampled + self.fill

    def _inverse_maps(
        self, count: int, draws: torch.Generator, strength: float
    ) -> Tensor:
        """Where each output pixel comes from, ``(count, 2, 3)`` in units of half the
        side, as ``affine_grid`` wants.
        """
        rotation, shear, scale, *shift = (
            (torch.rand(5, count, generator=draws) * 2 - 1) * strength
        ).unbind()
        angle, slant = (
            rotation * (self.rotation_deg * pi / 180),
            torch.tan(shear * (self.shear_deg * pi / 180)),
        )
        cos, sin = angle.cos(), angle.sin()
        # forward: slant along x, then turn, then scale
        forward = torch.stack(
            [cos, cos * slant - sin, sin, sin * slant + cos], dim=1
        ).reshape(count, 2, 2)
        inverse = torch.linalg.inv(
            forward * (1 + scale * self.scale).reshape(count, 1, 1)
        )
        moved = torch.stack(shift, dim=1).unsqueeze(2) * (2 * self.shift)
        return torch.cat([inverse, -inverse @ moved], dim=2)
