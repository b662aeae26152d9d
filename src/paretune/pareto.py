"""``paretune-pareto``: the front of a sweep, as a table, a CSV and a picture."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from paretune import places
from paretune.errors import ParetuneError, StoreError

if TYPE_CHECKING:
    from paretune.point import Point

__all__ = ["cli"]


def cli(arguments: Sequence[str] | None = None) -> None:
    """Run the command; a person's mistake is one line and exit code 2."""
    options = _parser().parse_args(arguments)
    try:
        report(options)
    except ParetuneError as error:
        print(f"paretune-pareto: {error}", file=sys.stderr)
        raise SystemExit(2) from None


def report(options: argparse.Namespace) -> None:
    """Print the front of ``options.sweep`` and write ``front.csv`` and ``front.png``."""
    from rich.console import Console

    from paretune.front import costs_of, front
    from paretune.reports.figure import draw_front
    from paretune.reports.references import read_references
    from paretune.reports.table import front_table, write_csv
    from paretune.tracking import Store, read_points

    uri = options.uri or f"sqlite:///{options.store}/mlflow.db"
    points = _asked_for(read_points(Store(uri).require(), options.sweep), options)
    members = [points[i] for i in front(costs_of([p.params for p in points], [p.f1 for p in points]))]
    out = Path(options.out or f"sweeps/{options.sweep}")
    out.mkdir(parents=True, exist_ok=True)
    write_csv(members, out / "front.csv")
    references = read_references(places.CONF / "references" / f"{points[0].data}.yaml")
    cap = points[0].config.get("cap", {}).get("max_params")
    title = f"{options.sweep}: {len(members)} of {len(points)} trials are on the front"
    draw_front(points, out / "front.png", title=title, references=references, cap=cap)
    console = Console()
    console.print(front_table(members, title))
    console.print(
        f"F1 and accuracy are on the validation images. Written: {out}/front.csv, {out}/front.png",
        soft_wrap=True,
    )


def _asked_for(points: "list[Point]", options: argparse.Namespace) -> "list[Point]":
    found = [
        point
        for point in points
        if (options.max_params is None or point.params <= options.max_params)
        and (options.min_f1 is None or point.f1 >= options.min_f1)
    ]
    if not found:
        message = (
            f"sweep `{options.sweep}` has no finished trial that was asked for ({len(points)} finished in all); expected at "
            f"least one; widen --max-params and --min-f1, or let the sweep run on"
        )
        raise StoreError(message)
    return found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("paretune-pareto", description="The params-vs-F1 front of a sweep.")
    parser.add_argument("sweep", help="name of a sweep, such as first_mnist")
    parser.add_argument("--max-params", type=int, metavar="N", help="only models of at most N parameters")
    parser.add_argument("--min-f1", type=float, metavar="F", help="only models of at least this validation F1, 0 to 1")
    parser.add_argument(
        "--store", default=places.store(), help="folder of mlflow.db (default: PARETUNE_STORE or mlruns)"
    )
    parser.add_argument("--uri", help="any MLflow tracking URI, instead of --store")
    parser.add_argument("--out", help="folder for the files (default: sweeps/<sweep>)")
    return parser
