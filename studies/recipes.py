"""``make recipes``: train the published recipes (or those named), and write what came
out beside what was published.

Every run is a ``paretune train +recipe=<name> seed=<n>`` of its own, recorded in the
store. Finished (recipe, seed) pairs are kept in the table ``docs/recipes.csv``, so that
the same command goes on where it stopped.
"""

import csv
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, fields
from fnmatch import fnmatch
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from bench.command import PARETUNE
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from paretune import paths, schema
from paretune.commands.mistakes import exit_on_mistake
from paretune.commands.parsing import format_count, make_parser, parse_count
from paretune.errors import ConfigError, SweepError

NEAR = 0.002  # of the published score, or two deviations


@dataclass(frozen=True)
class Published:
    """What a source says of a recipe: ``value`` is its ``metric`` (accuracy or f1) on
    ``split``, read by ``rule``; ``sd`` the standard deviation of one training where the
    value is the mean of several.
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
    """One training of a recipe: its score by the recipe's metric and ``rule``, and how
    long it took.
    """

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
    return [
        Result(**{name: kinds[name](value) for name, value in row.items()})
        for row in rows
    ]  # type: ignore[operator]


def write_results(results: Sequence[Result], path: Path) -> None:
    """Write the table, sorted by recipe and seed, so that two versions compare line by
    line.
    """
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
    """``above``, ``as published`` (within two deviations of the seeds or of the source,
    or 0.2 points) or ``below``.
    """
    if not scores:
        return "not run yet"
    difference = mean(scores) - published.value
    near = max(NEAR, 2 * published.sd, 2 * stdev(scores) if len(scores) > 1 else 0.0)
    return (
        "as published"
        if abs(difference) <= near
        else "above"
        if difference > 0
        else "below"
    )


def write_page(
    recipes: Sequence[Published], results: Sequence[Result], path: Path
) -> None:
    """Write the page: a line for each recipe, then what is odd about the sources."""
    of = {
        recipe.name: [result for result in results if result.recipe == recipe.name]
        for recipe in recipes
    }
    good = sum(
        verdict(recipe, [r.score for r in of[recipe.name]]) in ("above", "as published")
        for recipe in recipes
    )
    run = sum(bool(of[recipe.name]) for recipe in recipes)
    lines = [
        *HEAD,
        (
            f"{run} of {len(recipes)} recipes were run; {good} of them are as "
            "published or above."
        ),
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
    return {
        note: ", ".join(f"`{one.name}`" for one in recipes if note in one.notes)
        for note in notes
    }


def _row(recipe: Published, results: Sequence[Result]) -> str:
    scores = [result.score for result in results]
    measured = f"{mean(scores):.4f}" if scores else ""
    measured += f" ± {stdev(scores):.4f}" if len(scores) > 1 else ""
    seconds = f"{mean(result.seconds for result in results):.0f}" if results else ""
    rule = results[0].rule if results else ""
    said = verdict(recipe, scores)
    cells = (
        f"`{recipe.name}`",
        f"{recipe.params:,}",
        f"{recipe.counted:,}",
        recipe.metric,
        _published(recipe),
        recipe.rule,
        measured,
        str(len(scores) or ""),
        seconds,
        rule,
        f"**{said}**" if said == "below" else said,
        recipe.source,
    )
    return f"| {' | '.join(cells)} |"


HEAD = [
    "# Published recipes, run again",
    "",
    (
        "`make recipes` trains those of the recipes in `conf/recipe` that "
        "`docs/recipes.csv` lacks and writes this page; `make recipes "
        "ONLY='kep_dense_*'` some of"
    ),
    (
        "them. One recipe alone: `paretune train +recipe=era_11`. The score is the "
        "source's metric on the 10,000 test images, *read by*"
    ),
    (
        "the rule that comes nearest to how it was *published as*: *best epoch on "
        "test* is how a source chose, not how Paretune would."
    ),
    (
        "± is the standard deviation over seeds, or over the source's own runs. *as "
        "published*: the mean lies within two of either, or"
    ),
    (
        "0.2 points, of the published score. Results of every seed are in "
        "`docs/recipes.csv`. Seconds are by the clock, some on a"
    ),
    "machine that was busy or paused the training.",
    "",
]
TABLE_HEAD = [
    (
        "| recipe | params published | counted | metric | published | published as | "
        "measured | seeds | seconds | read by | verdict | source |"
    ),
    "|---|---:|---:|---|---:|---|---:|---:|---:|---|---|---|",
]


SEEDS, LARGE, SEEDS_OF_LARGE = 3, 200_000, 1
PAGE, TABLE = Path("docs/recipes.md"), Path("docs/recipes.csv")


def cli() -> None:
    """Run the command; a person's mistake is one line and exit code 2."""
    with exit_on_mistake("make recipes"):
        _run()


def _run() -> None:
    parser = make_parser("make recipes", __doc__)
    parser.add_argument(
        "only",
        nargs="*",
        default=["*"],
        help="names of recipes, such as kep_dense_* (default: all)",
    )
    parser.add_argument(
        "--jobs",
        type=parse_count,
        default=1,
        help="trainings at a time, one thread each if more than one",
    )
    parser.add_argument(
        "--seeds",
        type=parse_count,
        metavar="K",
        help="default: 3, and 1 above 200,000 parameters",
    )
    parser.add_argument(
        "--page-only",
        action="store_true",
        help="train nothing; write the page from the table",
    )
    options, failed = parser.parse_args(), list[str]()
    recipes = published_recipes()
    if not options.page_only:
        chosen = [
            recipe
            for recipe in recipes
            if any(fnmatch(recipe.name, pattern) for pattern in options.only)
        ]
        if not chosen:
            message = (
                f"recipe `{' '.join(options.only)}` is not in conf/recipe; expected "
                "names or patterns; see ls conf/recipe"
            )
            raise ConfigError(message)
        failed = _train_all(_missing(chosen, options.seeds), options.jobs)
    write_page(recipes, read_results(TABLE), PAGE)
    print(f"{PAGE} is written")
    if failed:
        message = (
            f"recipes `{', '.join(failed)}` failed; expected them to end; see what "
            "they said above"
        )
        raise SweepError(message)


def published_recipes() -> list[Published]:
    """Every recipe with its counted and its published figures, smallest first."""
    found = [published(path.stem) for path in (paths.CONF / "recipe").glob("*.yaml")]
    return sorted(found, key=lambda recipe: (recipe.counted, recipe.name))


def published(name: str) -> Published:
    """The recipe of that name."""
    from paretune import models
    from paretune.data import fit_to_data

    schema.register()
    with initialize_config_dir(str(paths.CONF), version_base="1.3"):
        config = compose("train", overrides=[f"+recipe={name}"])
    plain: Any = {
        key: OmegaConf.to_container(config[key])
        for key in ("model", "data", "published")
    }
    return Published(
        name,
        counted=models.count(fit_to_data(plain["model"], plain["data"])),
        **plain["published"],
    )  # type: ignore[arg-type]


def _missing(
    recipes: list[Published], seeds: int | None
) -> list[tuple[Published, int]]:
    """(recipe, seed) pairs not in the table, cheap ones first: every recipe once before
    any a second time.
    """
    done = {(result.recipe, result.seed) for result in read_results(TABLE)}
    of = {
        recipe.name: seeds or (SEEDS if recipe.counted <= LARGE else SEEDS_OF_LARGE)
        for recipe in recipes
    }
    pairs = [(recipe, seed) for recipe in recipes for seed in range(of[recipe.name])]
    return sorted(
        (pair for pair in pairs if (pair[0].name, pair[1]) not in done),
        key=lambda pair: pair[1],
    )


def _train_all(pairs: list[tuple[Published, int]], jobs: int) -> list[str]:
    """Train them, note each result as it comes; returns the names of those that
    failed.
    """
    failed = []
    print(f"{format_count(len(pairs), 'training')} to go")
    with ThreadPoolExecutor(jobs) as pool:
        trainings = {
            pool.submit(_train, recipe, seed, jobs): f"{recipe.name} seed {seed}"
            for recipe, seed in pairs
        }
        for number, training in enumerate(as_completed(trainings), 1):
            if (result := training.result()) is None:
                failed.append(trainings[training])
            else:
                write_results([*read_results(TABLE), result], TABLE)
                print(
                    f"{number} of {len(pairs)}: {result.recipe} seed {result.seed}: "
                    f"{result.score:.4f} in {result.seconds:.0f} s"
                )
    return failed


def _train(recipe: Published, seed: int, jobs: int) -> Result | None:
    env = os.environ | ({"OMP_NUM_THREADS": "1"} if jobs > 1 else {})
    command = [
        *PARETUNE,
        "train",
        f"+recipe={recipe.name}",
        f"seed={seed}",
    ]
    done = subprocess.run(
        command,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        print(
            f"{recipe.name} seed {seed} failed:\n{done.stdout[-2000:]}", file=sys.stderr
        )
        return None
    return _result_of(recipe, seed)


def _result_of(recipe: Published, seed: int) -> Result:
    """What the newest run of this recipe and seed left in the store."""
    from paretune.tracking import Store
    from paretune.tracking.runs import find_runs

    store = Store(paths.tracking_uri(paths.store()))
    runs = find_runs(store, {"kind": "run", "recipe": recipe.name})
    run = [
        run
        for run in runs
        if run.data.params.get("seed") == str(seed) and run.info.status == "FINISHED"
    ][-1]
    metrics, split = (
        run.data.metrics,
        "test" if f"test_{recipe.metric}" in run.data.metrics else "val",
    )
    return Result(
        recipe.name,
        seed,
        metrics[f"{split}_{recipe.metric}"],
        metrics["val_f1"],
        int(metrics["best_epoch"]),
        metrics["seconds"],
        run.data.tags["rule"] + (", test once" if split == "test" else ""),
    )


if __name__ == "__main__":
    cli()
