"""What all pictures have in common: how texts are written, and files."""

import warnings
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

from matplotlib.figure import Figure


def save_figure(figure: Figure, path: Path, dpi: int) -> None:
    """Write the figure; an SVG without its date, so that the same figure is the same
    file.
    """
    metadata: dict[str, Any] | None = None
    if path.suffix == ".svg":
        metadata = {"Date": None}
    with warnings.catch_warnings():
        # A name in letters that no font here has.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(path, dpi=dpi, metadata=metadata)


def escape_formulas(text: str) -> str:
    """A text in which Matplotlib finds no formula."""
    return text.replace("$", r"\$")
