"""Published recipes beside what they gave here: a table of results as CSV, and a page."""

import csv
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from statistics import mean, stdev

__all__ = ["Published", "Result", "read_results", "verdict", "write_page", "write_results"]

NEAR = 0.002  # of the published score, or two deviations


@dataclass(frozen=True)
class Published:
    """What a source says of a recipe: ``value`` is its ``metric`` (accuracy or f1) on ``split``, read by ``rule``; ``sd`` the
    standard deviation of one training where the value is the mean of several.
    """

    name: str
    params: int
    non_trainable: int
    metric: str
    value: float
    split: str
    rule: str
    source: str
    counted: int
    sd: float = 0.0
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Result:
    """One training of a recipe: its score by the recipe's metric and ``rule``, and how long it took."""

    recipe: str
    seed: int
    score: float
    val_f1: float
    epoch: int
    seconds: float
    rule: str


def read_results(path: Path) -> list[Result]:
    """The results in the table at ``path``; none where there is no table."""
    if not path.is_file():
        return []
    kinds = {field.name: field.type for field in fields(Result)}
    with path.open() as file:
        rows = list(csv.DictReader(file))
    return [Result(**{name: kinds[name](value) for name, value in row.items()}) for row in rows]  # type: ignore[operator]


def write_results(results: Sequence[Result], path: Path) -> None:
    """Write the table, sorted by recipe and seed, so that two versions compare line by line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(field.name for field in fields(Result))
        for result in sorted(results, key=lambda one: (one.recipe, one.seed)):
            rounded = asdict(result) | {
                "score": f"{result.score:.5f}",
                "val_f1": f"{result.val_f1:.5f}",
                "seconds": f"{result.seconds:.0f}",
            }
            writer.writerow(rounded.values())


def verdict(published: Published, scores: Sequence[float]) -> str:
    """``above``, ``as published`` (within two deviations of the seeds or of the source, or 0.2 points) or ``below``."""
    if not scores:
        return "not run yet"
    difference = mean(scores) - published.value
    near = max(NEAR, 2 * published.sd, 2 * stdev(scores) if len(scores) > 1 else 0.0)
    return "as published" if abs(difference) <= near else "above" if difference > 0 else "below"


def write_page(recipes: Sequence[Published], results: Sequence[Result], path: Path) -> None:
    """Write the page: a line for each recipe, then what is odd about the sources."""
    of = {recipe.name: [result for result in results if result.recipe == recipe.name] for recipe in recipes}
    good = sum(verdict(recipe, [r.score for r in of[recipe.name]]) in ("above", "as published") for recipe in recipes)
    run = sum(bool(of[recipe.name]) for recipe in recipes)
    lines = [
        *HEAD,
        f"{run} of {len(recipes)} recipes were run; {good} of them are as published or above.",
        "",
        *TABLE_HEAD,
    ]
    lines += [_row(recipe, of[recipe.name]) for recipe in recipes]
    lines += ["", "## Where the sources are odd", ""]
    lines += [f"* {names}: {note}" for note, names in _notes(recipes).items()]
    path.write_text("\n".join(lines) + "\n")


def _published(recipe: Published) -> str:
    return f"{recipe.value:.4f}" + (f" ± {recipe.sd:.4f}" if recipe.sd else "")


def _notes(recipes: Sequence[Published]) -> dict[str, str]:
    """Each note, and the recipes that it is about."""
    notes = [note for recipe in recipes for note in recipe.notes]
    return {note: ", ".join(f"`{one.name}`" for one in recipes if note in one.notes) for note in notes}


def _row(recipe: Published, results: Sequence[Result]) -> str:
    scores = [result.score for result in results]
    measured = f"{mean(scores):.4f}" if scores else ""
    measured += f" ± {stdev(scores):.4f}" if len(scores) > 1 else ""
    seconds = f"{mean(result.seconds for result in results):.0f}" if results else ""
    rule = results[0].rule if results else ""
    said = verdict(recipe, scores)
    cells = (
        f"`{recipe.name}`", f"{recipe.params:,}", f"{recipe.counted:,}", recipe.metric, _published(recipe), recipe.rule, measured,
        str(len(scores) or ""), seconds, rule, f"**{said}**" if said == "below" else said, recipe.source,
    )  # fmt: skip
    return f"| {' | '.join(cells)} |"


HEAD = [
    "# Published recipes, run again",
    "",
    "`make recipes` trains the recipes of `conf/recipe` on MNIST and writes this page; `make recipes ONLY='kep_dense_*'` some of",
    "them. One recipe alone: `paretune-train +recipe=era_11`. The score is the source's metric on the 10,000 test images, *read by*",
    "the rule that comes nearest to how it was *published as*: *best epoch on test* is how a source chose, not how Paretune would.",
    "± is the standard deviation over seeds, or over the source's own runs. *as published*: the mean lies within two of either, or",
    "0.2 points, of the published score. Results of every seed are in `docs/recipes.csv`. Seconds are by the clock, some on a",
    "machine that was busy or paused the training.",
    "",
]
TABLE_HEAD = [
    "| recipe | params published | counted | metric | published | published as | measured | seeds | seconds | read by | verdict | source |",
    "|---|---:|---:|---|---:|---|---:|---:|---:|---|---|---|",
]
