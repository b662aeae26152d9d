"""Images as a C program takes them, and what it sees of them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from paretune.deploy.c_input import BITS, CInput, Numbers

Images = NDArray[np.float32]


def encode(images: Images, c_input: CInput) -> NDArray[Any]:
    """Images ``(N, C, H, W)`` in [0, 1] as the program takes them, ``(N, numbers)``."""
    if c_input.is_packed:
        return pack(images)
    ordered = images if c_input.is_planar else images.transpose(0, 2, 3, 1)
    flat = ordered.reshape(len(images), -1)
    if c_input.numbers is Numbers.FLOATS:
        return flat.astype(np.float32)
    return round_to_bytes(flat)


def see(images: Images, c_input: CInput) -> Images:
    """The images ``(N, C, H, W)`` that their encoded form stands for, in [0, 1]."""
    if c_input.numbers is Numbers.FLOATS:
        return images
    pixels = unpack(images) if c_input.is_packed else round_to_bytes(images)
    return pixels.astype(np.float32) / np.float32(255)


def round_to_bytes(images: Images) -> NDArray[np.uint8]:
    """Numbers in [0, 1] as the nearest of 0 to 255."""
    return np.rint(images * 255).astype(np.uint8)


def pack(images: Images) -> NDArray[np.uint16]:
    """Images ``(N, 3, H, W)`` in [0, 1] in RGB565, ``(N, H * W)``: the upper bits of
    each channel.
    """
    pixels = round_to_bytes(images).astype(np.uint16)
    packed = np.zeros_like(pixels[:, 0])
    for channel, (place, bits) in enumerate(BITS.values()):
        packed |= pixels[:, channel] >> (8 - bits) << place
    return packed.reshape(len(images), -1)


def unpack(images: Images) -> NDArray[np.uint8]:
    """The bytes ``(N, 3, H, W)`` that images in [0, 1] have after RGB565: the upper
    bits of each channel, repeated in its lower ones.
    """
    pixels = round_to_bytes(images)
    seen = np.empty_like(pixels)
    for channel, (_, bits) in enumerate(BITS.values()):
        upper = pixels[:, channel] >> (8 - bits)
        seen[:, channel] = upper << (8 - bits) | upper >> (2 * bits - 8)
    return seen
