"""``paretune-recipes``: train the published recipes (or those named), and write what came out beside what was published.

Every run is a ``paretune-train +recipe=<name> seed=<n>`` of its own, recorded in the store. Finished (recipe, seed) pairs are
kept in the table ``docs/recipes.csv``, so that the same command goes on where it stopped.
"""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor, as_completed
from fnmatch import fnmatch
from pathlib import Path

from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from paretune import places
from paretune.asking import parser_of, whole
from paretune.errors import ConfigError, SweepError, exit_on_mistake
from paretune.reports.recipes import Published, Result, read_results, write_page, write_results
from paretune.wording import counted

__all__ = ["cli", "published", "published_recipes"]

SEEDS, LARGE, SEEDS_OF_LARGE = 3, 200_000, 1
PAGE, TABLE = Path("docs/recipes.md"), Path("docs/recipes.csv")


def cli() -> None:
    """Run the command; a person's mistake is one line and exit code 2."""
    with exit_on_mistake("paretune-recipes"):
        _run()


def _run() -> None:
    parser = parser_of("paretune-recipes", __doc__)
    parser.add_argument("only", nargs="*", default=["*"], help="names of recipes, such as kep_dense_* (default: all)")
    parser.add_argument("--jobs", type=whole, default=1, help="trainings at a time, one thread each if more than one")
    parser.add_argument("--seeds", type=whole, metavar="K", help="default: 3, and 1 above 200,000 parameters")
    parser.add_argument("--page-only", action="store_true", help="train nothing; write the page from the table")
    options, failed = parser.parse_args(), list[str]()
    recipes = published_recipes()
    if not options.page_only:
        chosen = [recipe for recipe in recipes if any(fnmatch(recipe.name, pattern) for pattern in options.only)]
        if not chosen:
            message = f"recipe `{' '.join(options.only)}` is none of conf/recipe; expected names or patterns; see ls conf/recipe"
            raise ConfigError(message)
        failed = _train_all(_missing(chosen, options.seeds), options.jobs)
    write_page(recipes, read_results(TABLE), PAGE)
    print(f"{PAGE} is written")
    if failed:
        message = f"recipes `{', '.join(failed)}` failed; expected them to end; see what they said above"
        raise SweepError(message)


def published_recipes() -> list[Published]:
    """Every recipe with its counted and its published figures, smallest first."""
    found = [published(path.stem) for path in (places.CONF / "recipe").glob("*.yaml")]
    return sorted(found, key=lambda recipe: (recipe.counted, recipe.name))


def published(name: str) -> Published:
    """The recipe of that name."""
    from paretune import models

    with initialize_config_dir(str(places.CONF), version_base="1.3"):
        config = compose("train", overrides=[f"+recipe={name}"])
    plain = {key: OmegaConf.to_container(config[key]) for key in ("model", "published")}
    return Published(name, counted=models.count(plain["model"]), **plain["published"])  # type: ignore[arg-type]


def _missing(recipes: list[Published], seeds: int | None) -> list[tuple[Published, int]]:
    """(recipe, seed) pairs not in the table, cheap ones first: every recipe once before any a second time."""
    done = {(result.recipe, result.seed) for result in read_results(TABLE)}
    of = {recipe.name: seeds or (SEEDS if recipe.counted <= LARGE else SEEDS_OF_LARGE) for recipe in recipes}
    pairs = [(recipe, seed) for recipe in recipes for seed in range(of[recipe.name])]
    return sorted((pair for pair in pairs if (pair[0].name, pair[1]) not in done), key=lambda pair: pair[1])


def _train_all(pairs: list[tuple[Published, int]], jobs: int) -> list[str]:
    """Train them, note each result as it comes; returns the names of those that failed."""
    failed = []
    print(f"{counted(len(pairs), 'training')} to go")
    with ThreadPoolExecutor(jobs) as pool:
        trainings = {pool.submit(_train, recipe, seed, jobs): f"{recipe.name} seed {seed}" for recipe, seed in pairs}
        for number, training in enumerate(as_completed(trainings), 1):
            if (result := training.result()) is None:
                failed.append(trainings[training])
            else:
                write_results([*read_results(TABLE), result], TABLE)
                print(
                    f"{number} of {len(pairs)}: {result.recipe} seed {result.seed}: {result.score:.4f} in {result.seconds:.0f} s"
                )
    return failed


def _train(recipe: Published, seed: int, jobs: int) -> Result | None:
    env = os.environ | ({"OMP_NUM_THREADS": "1"} if jobs > 1 else {})
    python = [sys.executable, "-W", "ignore"]
    command = [*python, "-m", "paretune.train", f"+recipe={recipe.name}", f"seed={seed}"]
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        print(f"{recipe.name} seed {seed} failed:\n{done.stdout[-2000:]}", file=sys.stderr)
        return None
    return _result_of(recipe, seed)


def _result_of(recipe: Published, seed: int) -> Result:
    """What the newest run of this recipe and seed left in the store."""
    from paretune.tracking import Store
    from paretune.tracking.store import quoted

    store = Store(places.tracking_uri(places.store()))
    run = store.runs(
        f"tags.kind = 'run' and tags.recipe = {quoted(recipe.name)} and params.seed = '{seed}' and attributes.status = 'FINISHED'"
    )[-1]
    metrics, split = run.data.metrics, "test" if f"test_{recipe.metric}" in run.data.metrics else "val"
    return Result(
        recipe.name, seed, metrics[f"{split}_{recipe.metric}"], metrics["val_f1"], int(metrics["best_epoch"]),
        metrics["seconds"], run.data.tags["rule"] + (", test once" if split == "test" else ""),
    )  # fmt: skip


if __name__ == "__main__":
    cli()
