"""``paretune confirm``: models that a sweep found, or a recipe, trained with several
seeds; the test set read once a seed.

Each training is a trial of a sweep of its own (:mod:`paretune.commands.retrain`), so
that ``--jobs`` and Hydra's launchers work as they do in any. What is finished is in the
store; the same command trains what is missing.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.errors import CompactHydraException
from omegaconf.errors import OmegaConfBaseException

from paretune import paths
from paretune.commands.confirm_recipe import confirm_recipe
from paretune.commands.mistakes import exit_on_mistake
from paretune.commands.parsing import (
    add_query,
    add_store,
    add_trust,
    format_count,
    make_parser,
    parse_count,
    parse_run_id,
    read_query,
    read_store_uri,
)
from paretune.commands.retrain import ConfirmSettings, Wanted, check_code, list_missing
from paretune.commands.retraining import Changes, Retraining
from paretune.confirmation import TRAIN, TRAIN_AND_VAL
from paretune.costs import COSTS
from paretune.errors import ConfigError, check_least
from paretune.hints import next_command
from paretune.trust import Trust

if TYPE_CHECKING:
    import argparse

    from pandas import DataFrame

    from paretune.reports.findings import SweepResults
    from paretune.reports.query import Query
    from paretune.tracking import Store

# Beginnings of the overrides that may be given: they say where trainings run and where
# what is known of them is kept.
HYDRA_SETTINGS = ("hydra", "storage=", "tracking.")
# Options by which models of a sweep are chosen, and what argparse calls them.
CHOOSING = {
    "--run": "run",
    "--near": "near",
    "--min-f1": "min_f1",
    "--family": "family",
    "--cost": "cost",
    **{f"--max-{cost.option}": cost.bound for cost in COSTS.values()},
}


@dataclass(frozen=True)
class Options:
    """A person's request for models of a sweep.

    ``runs`` are beginnings of the ids of the runs to confirm; without any the front is
    confirmed, and what comes within ``near`` of it.
    """

    sweep: str
    query: "Query"
    runs: tuple[str, ...]
    near: float | None
    settings: ConfirmSettings


def cli(arguments: Sequence[str] | None = None) -> None:
    """Run the command; a person's mistake is one line and exit code 2."""
    # Hydra then raises its errors instead of printing them.
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")
    parser = _make_parser()
    given, overrides = parser.parse_known_args(arguments)
    paths.import_from_working_folder()
    with exit_on_mistake(
        "paretune confirm", CompactHydraException, OmegaConfBaseException
    ):
        if _wants_recipe(given, overrides):
            _refuse_choices(given)
            settings = _read_settings(given, overrides)
            confirm_recipe(given.recipe, given.train_on, settings)
        else:
            _confirm(_read_options(given, overrides))


def _wants_recipe(given: "argparse.Namespace", overrides: list[str]) -> bool:
    """Whether a recipe is to be confirmed, not a sweep.

    Behind ``--recipe`` an override stands where a sweep's name would: it is put to the
    others. Raises :class:`~paretune.errors.ConfigError` unless one of both is given.
    """
    if given.recipe and given.sweep and "=" in given.sweep:
        overrides.insert(0, given.sweep)
        given.sweep = None
    if given.recipe and given.sweep:
        raise ConfigError(
            f"sweep `{given.sweep}` and --recipe `{given.recipe}` are both given; "
            "confirm one after the other"
        )
    if not (given.recipe or given.sweep):
        raise ConfigError(
            "neither a sweep nor a recipe is named; write paretune confirm SWEEP, or "
            "paretune confirm --recipe NAME"
        )
    return given.recipe is not None


def _refuse_choices(given: "argparse.Namespace") -> None:
    """Raise :class:`~paretune.errors.ConfigError` for options that choose models of a
    sweep.
    """
    named = [
        option
        for option, name in CHOOSING.items()
        if getattr(given, name) not in (None, [])
    ]
    if named:
        options = ", ".join(named)
        raise ConfigError(
            f"--recipe `{given.recipe}` is a single model, and models of a sweep are "
            f"chosen by {options}; leave out {options}"
        )


def _read_options(given: "argparse.Namespace", overrides: Sequence[str]) -> Options:
    check_least("--near", given.near, 0, most=1, whole=False, null=True)
    return Options(
        sweep=given.sweep,
        query=read_query(given),
        runs=tuple(given.run),
        near=given.near,
        settings=_read_settings(given, overrides),
    )


def _read_settings(
    given: "argparse.Namespace", overrides: Sequence[str]
) -> ConfirmSettings:
    for override in overrides:
        if not override.lstrip("+~").startswith(HYDRA_SETTINGS):
            raise ConfigError(
                f"argument `{override}` is no setting of Hydra, such as "
                "hydra/launcher=submitit_slurm or storage=URL; write --set "
                f"{override} for a setting of the training"
            )
    changes = Changes(
        epochs=given.epochs,
        train_on=given.train_on or TRAIN,
        teacher=given.teacher,
        settings=tuple(given.set),
        int8=given.int8,
    )
    return ConfirmSettings(
        changes=changes,
        n_seeds=given.seeds,
        n_jobs=given.jobs,
        trust=Trust(tuple(given.trust)),
        store_folder=Path(given.store),
        store_uri=read_store_uri(given),
        overrides=tuple(overrides),
    )


def _confirm(options: Options) -> None:
    from paretune.reports.findings import read_results
    from paretune.tracking import Store

    settings = options.settings
    store = Store(settings.store_uri).open_for_reading()
    results = read_results(store, [options.sweep], options.query)
    chosen = _choose_runs(results, options)
    configs = _list_configs(results)
    for run_id in chosen:
        check_code(configs[run_id], run_id, settings.trust)
    missing = _list_missing(results, chosen, options, store)
    if missing:
        settings.train(missing, store, sweep=options.sweep)
        results = read_results(store, [options.sweep], options.query)
    _report(results, chosen, options)


def _list_configs(results: "SweepResults") -> dict[str, Mapping[str, Any]]:
    """The configs of the complete trials, by their runs' ids."""
    models = results.models
    return dict(zip(models["run_id"], models["config"], strict=True))


def _choose_runs(results: "SweepResults", options: Options) -> list[str]:
    """The runs asked for by ``--run``, or those of the front and of models that come
    within ``--near`` of it at their size.
    """
    if options.runs:
        named = [results.point(run).run_id for run in options.runs]
        return list(dict.fromkeys(named))
    models = results.models.sort_values(results.cost, kind="stable")
    is_chosen = models["run_id"].isin(results.members["run_id"])
    if options.near:
        lowest_f1 = _find_front_f1(models, results) - options.near
        is_chosen |= models["val_f1"] >= lowest_f1
    return models.loc[is_chosen, "run_id"].tolist()


def _find_front_f1(models: "DataFrame", results: "SweepResults") -> "Any":
    """For each of the ``models`` the highest F1 on the front at its cost or less."""
    front, cost = results.members, results.cost
    return models[cost].map(lambda most: front.loc[front[cost] <= most, "val_f1"].max())


def _list_missing(
    results: "SweepResults", chosen: Sequence[str], options: Options, store: "Store"
) -> list[Retraining]:
    """Trainings that the store has not got; every model's first seed before any
    second.
    """
    from paretune.tracking import read_confirmations

    configs = _list_configs(results)
    return list_missing(
        [Wanted(run_id, configs[run_id]) for run_id in chosen],
        [options.settings.changes],
        options.settings.n_seeds,
        first_seed=int(results.table["seed"].max()) + 1,
        done=read_confirmations(store, options.sweep),
    )


def _report(results: "SweepResults", chosen: Sequence[str], options: Options) -> None:
    """Print how the chosen models did, and write what is known of all."""
    from rich.console import Console

    from paretune.reports.files import folder_of, write_confirmed
    from paretune.reports.terminal import (
        build_confirmed_table,
        format_beaten_references,
    )

    models = results.confirmed[results.confirmed["run_id"].isin(chosen)]
    n_models = format_count(models["run_id"].nunique(), "model")
    console = Console()
    title = f"{options.sweep}: {n_models} trained again"
    console.print(build_confirmed_table(models, title))
    console.print(_describe_optimism(models), soft_wrap=True)
    for line in format_beaten_references(models, results.references):
        console.print(line, soft_wrap=True)
    path = folder_of(options.sweep) / "confirmed.csv"
    write_confirmed(results.confirmed, path)
    console.print(f"Written: {path}", soft_wrap=True)
    print(
        next_command(
            "pareto", options.sweep, "--confirmed", uri=options.settings.store_uri
        )
    )


def _describe_optimism(models: "DataFrame") -> str:
    """By how much the search's F1 was above that of the test set."""
    optimism = models["optimism"]
    if optimism.empty:
        return "nothing was confirmed"
    return (
        "The search's validation F1 was above the mean test F1 by "
        f"{optimism.mean():+.4f} on average, {optimism.max():+.4f} at most."
    )


def _make_parser() -> "argparse.ArgumentParser":
    parser = make_parser("paretune confirm", __doc__)
    parser.add_argument("sweep", nargs="?", help="name of a sweep, such as first_mnist")
    parser.add_argument(
        "--recipe",
        metavar="NAME",
        help="a recipe instead of a sweep, such as zoo/mnist_193",
    )
    parser.add_argument(
        "--seeds",
        type=parse_count,
        default=5,
        metavar="K",
        help="trainings of each model (default 5)",
    )
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument(
        "--near",
        type=float,
        metavar="F",
        help="also models whose F1 is this close to the front's, such as 0.002",
    )
    chosen.add_argument(
        "--run",
        type=parse_run_id,
        action="append",
        default=[],
        metavar="ID",
        help="this run alone, by the start of its id (may be repeated)",
    )
    add_query(parser, f1="validation F1")
    _add_changes(parser)
    parser.add_argument(
        "--jobs", type=parse_count, default=1, metavar="N", help="workers"
    )
    add_trust(parser)
    add_store(parser)
    parser.epilog = (
        "Further arguments are Hydra overrides, such as hydra/launcher=submitit_slurm."
    )
    return parser


def _add_changes(parser: "argparse.ArgumentParser") -> None:
    """The options that say what is other than in the sweep or the recipe."""
    parser.add_argument(
        "--epochs",
        type=parse_count,
        metavar="N",
        help="train for so many epochs (default: as before)",
    )
    parser.add_argument(
        "--train-on",
        choices=(TRAIN, TRAIN_AND_VAL),
        help=(
            "train+val: all images, last epoch (default: train, or as the recipe says)"
        ),
    )
    parser.add_argument(
        "--teacher",
        metavar="FILE",
        help=(
            "weights.pt of a run whose probabilities are learnt from, too "
            "(trainer.distillation)"
        ),
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="SETTING=VALUE",
        help=(
            "a setting of the training, such as augment=affine or "
            "trainer.restarts.starts=16 (may be repeated)"
        ),
    )
    parser.add_argument(
        "--int8",
        action="store_true",
        help="in whole numbers, as paretune export --int8 writes them",
    )
