"""A data set to try with: colour pictures of discs, squares and triangles on noise, a
folder for each.

``python tests/shapes.py pictures 1000`` draws so many, 48 wide and 32 high.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

CLASSES = ("disc", "square", "triangle")
HEIGHT, WIDTH = 32, 48


def draw(folder: Path, count: int) -> None:
    """``count`` pictures, the same ones for the same count."""
    rng = np.random.default_rng(0)
    for number in range(count):
        name = CLASSES[number % len(CLASSES)]
        picture = Image.fromarray(
            rng.integers(0, 90, (HEIGHT, WIDTH, 3)).astype(np.uint8)
        )
        radius = int(rng.integers(6, 12))
        x, y = (
            int(rng.integers(radius, WIDTH - radius)),
            int(rng.integers(radius, HEIGHT - radius)),
        )
        colour = tuple(int(value) for value in rng.integers(100, 256, 3))
        corners = [x - radius, y - radius, x + radius, y + radius]
        pen = ImageDraw.Draw(picture)
        if name == "triangle":
            pen.polygon(
                [(x, y - radius), (x - radius, y + radius), (x + radius, y + radius)],
                fill=colour,
            )
        else:
            (pen.ellipse if name == "disc" else pen.rectangle)(corners, fill=colour)
        (folder / name).mkdir(parents=True, exist_ok=True)
        picture.save(folder / name / f"{number:04d}.png")


if __name__ == "__main__":
    draw(Path(sys.argv[1]), int(sys.argv[2]))
