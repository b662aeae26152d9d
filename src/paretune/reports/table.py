"""The front as a table: in the terminal, and as CSV."""

import csv
from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.table import Table

from paretune.point import Point

__all__ = ["front_table", "layers_of", "write_csv"]

COLUMNS = ("params", "val_f1", "val_accuracy", "family", "layers", "best_epoch", "seconds", "seed", "run_id")


def front_table(points: Sequence[Point], title: str) -> Table:
    """Front members by rising parameter count."""
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for name in ("params", "val F1", "val acc"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("family", no_wrap=True)
    table.add_column("layers")
    table.add_column("run", no_wrap=True)
    for p in points:
        scores = (f"{p.params:,}", f"{p.f1:.4f}", f"{p.accuracy:.4f}")
        table.add_row(*scores, p.family, layers_of(p), p.run_id[:8])
    return table


def layers_of(point: Point) -> str:
    """The settings that shape the network, in short: ``8-12-12 k3 batch`` is its widths, kernels and norm."""
    model = point.config.get("model", {})
    words = ["-".join(str(width) for width in model.get("widths", ()))]
    words += [f"k{model['kernel_size']}"] if "kernel_size" in model else []
    words += [model["norm"]] if model.get("norm", "none") != "none" else []
    words += [f"{name} {model[name]}" for name in ("neck", "head") if model.get(name)]
    return " ".join(words)


def write_csv(points: Sequence[Point], path: Path) -> None:
    """One row a point, by the names that the store uses."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for p in points:
            scores = (p.params, f"{p.f1:.6f}", f"{p.accuracy:.6f}", p.family, layers_of(p))
            writer.writerow([*scores, p.best_epoch, f"{p.seconds:.1f}", p.seed, p.run_id])
