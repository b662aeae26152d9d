"""``paretune confirm``: models that a sweep found, trained again with other seeds; the
test set read once a seed.

Each training is a trial of a sweep of its own, so that ``--jobs`` and Hydra's launchers
work as they do in any. What is finished is in the store; the same command trains what
is missing.
"""

import argparse
import hashlib
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from functools import cache
from itertools import count, islice, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import hydra
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import CompactHydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from paretune import paths, schema
from paretune.commands.mistakes import exit_on_mistake
from paretune.commands.parsing import (
    add_query,
    add_store,
    add_trust,
    counted,
    parser_of,
    query_of,
    run_id,
    uri_of,
    whole,
)
from paretune.confirmation import TRAIN, TRAIN_AND_VAL, Confirmation
from paretune.errors import ConfigError, check_least
from paretune.hints import next_command
from paretune.overrides import quoted
from paretune.settings import check
from paretune.trust import OF_A_TRAINING, Trust, refuse_lookups

if TYPE_CHECKING:
    from pandas import DataFrame

    from paretune.reports.findings import SweepResults
    from paretune.tracking import Store

GROUPS = ("optimizer", "scheduler", "augment")  # of how a network is trained
MISSING = object()


@hydra.main(config_path=str(paths.CONF), config_name="confirm", version_base="1.3")
def main(cfg: DictConfig) -> Sequence[float]:
    """Train one model again as ``cfg.training`` says; returns (parameters, validation
    F1).
    """
    from paretune.experiment import train_recorded, trusted
    from paretune.start import prepare_candidate, tell_without_effect
    from paretune.tracking import RunRecorder, Store, read_run

    tracking: Any = OmegaConf.to_container(cfg.tracking, resolve=True)
    store = Store(**tracking)
    run_id, _, seed = cfg.training.removeprefix("run").partition("-seed")
    member, sweep = read_run(store, run_id)
    lines, trust = tuple(cfg.settings), trusted(cfg)
    check_code(member.config, run_id, trust)
    again = confirmation(
        changed(member.config, lines), int(seed), cfg.epochs, cfg.train_on, cfg.teacher
    )
    # what is shipped reads the test set, once
    config = OmegaConf.create({**again, "test": not cfg.int8, "trust": list(cfg.trust)})
    tell_without_effect(config.trainer, lines)
    tags = {
        "kind": "confirm",
        "sweep": sweep,
        "confirms": run_id,
        "seed": seed,
        "data": member.data,
        "how": str(Confirmation.of(again, cfg.train_on, cfg.int8, lines)),
    }
    name = f"{sweep}-{member.params}-confirm-{seed}"
    same = ("kind", "confirms", "seed", "how")
    with RunRecorder(
        store, name, tags=tags, searched={"seed": seed}, replaces=same
    ) as recorder:
        # What fails here is tried again.
        candidate = prepare_candidate(config, member.data)
        point = train_recorded(config, candidate, recorder)
        if cfg.int8:
            from paretune.deploy.int8 import score_on_test

            weights = Path(HydraConfig.get().runtime.output_dir) / "weights.pt"
            recorder.write("metrics", values=score_on_test(weights, point, trust))
    return point.params, point.f1


def check_code(config: Mapping[str, Any], run_id: str, trust: Trust) -> None:
    """Raise :class:`~paretune.errors.StoreError` if training by the config of a run
    would run other code than is trusted.
    """
    source = f"run `{run_id}`"
    trust.check(config, source, OF_A_TRAINING)
    refuse_lookups(config, source)


def changed(config: Mapping[str, Any], lines: tuple[str, ...]) -> dict[str, Any]:
    """The config of a run with other settings of its training: ``lines`` such as
    ``augment=affine``, as ``paretune train`` takes them.

    Raises :class:`~paretune.errors.ConfigError` for a line that is no such setting.
    """
    for line in lines:
        if "=" not in line:
            raise ConfigError(
                f"--set `{line}` has no value; expected SETTING=VALUE, such as "
                "trainer.batch_size=64; add its value"
            )
    overrides = OverridesParser.create().parse_overrides(list(lines))
    options = [
        f"{o.key_or_group}={o.get_value_string()}"
        for o in overrides
        if o.key_or_group in GROUPS
    ]
    new, composed = OmegaConf.create(dict(config)), _composed(tuple(options))
    for override in sorted(
        overrides, key=lambda override: override.key_or_group not in GROUPS
    ):
        name = override.key_or_group
        if name in GROUPS:
            new[name] = composed[name]
            continue
        within = name.startswith(tuple(f"{node}." for node in (*GROUPS, "trainer")))
        if (
            not within
            or OmegaConf.select(
                new, name, default=OmegaConf.select(composed, name, default=MISSING)
            )
            is MISSING
        ):
            raise ConfigError(
                f"--set `{override.input_line}` is no setting of a training; expected "
                "one of trainer, optimizer, scheduler or augment, "
                f"such as trainer.batch_size=64 or augment=affine; correct its name"
            )
        check(name, override.value())
        OmegaConf.update(new, name, override.value(), force_add=True)
    return cast("dict[str, Any]", OmegaConf.to_container(new, resolve=True))


@cache
def _composed(options: tuple[str, ...]) -> DictConfig:
    """The config of ``paretune train`` with these ``options`` of groups."""
    running = GlobalHydra.instance().is_initialized()
    schema.register()
    with (
        nullcontext()
        if running
        else initialize_config_dir(str(paths.CONF), version_base="1.3")
    ):
        return compose("train", list(options))


def confirmation(
    config: Any,
    seed: int,
    epochs: int | None,
    train_on: str,
    teacher: str | None = None,
) -> dict[str, Any]:
    """The config of a run, to be trained with another seed, for so many epochs, on the
    training images or on all, by a teacher.

    How the network is executed is not timed: fp32, unless the config says otherwise. On
    all images there is nothing to choose the epoch by: the weights of the last one are
    kept.
    """
    data, selection = paths.data_now(config["data"]), config["selection"]
    trainer = {
        **config["trainer"],
        "autotune": False,
        **({"max_epochs": epochs} if epochs else {}),
    }
    if teacher:
        trainer["distillation"] = {
            **trainer.get("distillation", {}),
            "teacher": str(Path(teacher).resolve()),
        }
    if train_on == TRAIN_AND_VAL:
        if "splitting" not in data:
            raise ConfigError(
                f"data `{data.get('_target_')}` has no splitting; expected one to "
                "train on train+val; use --train-on train"
            )
        data["splitting"] = {**data["splitting"], "train_on_val": True}
        trainer["patience"] = None
        selection = {**selection, "epoch": "last"}
    return {
        **config,
        "seed": seed,
        "data": data,
        "trainer": trainer,
        "selection": selection,
    }


def cli(arguments: Sequence[str] | None = None) -> None:
    """Run the command; a person's mistake is one line and exit code 2."""
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")
    options, overrides = _parser().parse_known_args(arguments)
    os.environ["PARETUNE_STORE"] = str(Path(options.store).resolve())
    paths.import_from_working_folder()
    with exit_on_mistake(
        "paretune confirm", CompactHydraException, OmegaConfBaseException
    ):
        check_least("--near", options.near, 0, most=1, whole=False, null=True)
        for override in overrides:
            if not override.lstrip("+~").startswith(("hydra", "storage=", "tracking.")):
                raise ConfigError(
                    f"argument `{override}` is no setting of Hydra; expected such as "
                    "hydra/launcher=submitit_slurm, or storage=URL; "
                    f"write --set {override} for one of the training"
                )
        _confirm(options, overrides)


def _confirm(options: argparse.Namespace, overrides: list[str]) -> None:
    from rich.console import Console

    from paretune.reports.files import folder_of, write_confirmed
    from paretune.reports.findings import find
    from paretune.reports.terminal import (
        build_confirmed_table,
        format_beaten_references,
    )
    from paretune.tracking import Store

    store, query = Store(uri_of(options)).require(), query_of(options)
    results = find(store, [options.sweep], query)
    chosen = _chosen(results, options)
    trust = Trust(tuple(options.trust))
    configs = dict(
        zip(results.complete["run_id"], results.complete["config"], strict=True)
    )
    for chosen_run in chosen:
        check_code(configs[chosen_run], chosen_run, trust)
    missing = _missing(results, chosen, options, store)
    if missing:
        if options.teacher:
            from paretune.training import load

            load(Path(options.teacher), trust)  # refuses another file
        _train(missing, options, overrides, store)
        results = find(store, [options.sweep], query)
    models = results.confirmed[results.confirmed["run_id"].isin(chosen)]
    console = Console()
    console.print(
        build_confirmed_table(
            models,
            (
                f"{options.sweep}: {counted(models['run_id'].nunique(), 'model')} "
                "trained again"
            ),
        )
    )
    for line in [
        _optimism(models),
        *format_beaten_references(models, results.references),
    ]:
        console.print(line, soft_wrap=True)
    path = folder_of(options.sweep) / "confirmed.csv"
    write_confirmed(results.confirmed, path)
    console.print(f"Written: {path}", soft_wrap=True)
    print(next_command("pareto", options.sweep, "--confirmed", uri=uri_of(options)))


def _chosen(results: "SweepResults", options: argparse.Namespace) -> list[str]:
    """The runs asked for by ``--run``, or those of the front and of models that come
    within ``--near`` of it at their size.
    """
    if options.run:
        return list(dict.fromkeys(results.point(run).run_id for run in options.run))
    front, models, cost = results.members, results.complete, results.cost
    is_chosen = models["run_id"].isin(front["run_id"])
    if options.near:
        best = [front.loc[front[cost] <= most, "val_f1"].max() for most in models[cost]]
        is_chosen |= models["val_f1"] >= [f1 - options.near for f1 in best]
    return models[is_chosen].sort_values(cost, kind="stable")["run_id"].tolist()


def _missing(
    results: "SweepResults",
    chosen: Sequence[str],
    options: argparse.Namespace,
    store: "Store",
) -> list[str]:
    """Trainings that the store has not got, as ``run<id>-seed<n>``; every model's first
    seed before any second.
    """
    from paretune.tracking import read_confirmations

    done = read_confirmations(store, options.sweep)
    configs = dict(
        zip(results.complete["run_id"], results.complete["config"], strict=True)
    )
    unused, lines = int(results.table["seed"].max()) + 1, tuple(options.set)

    def missing_seeds(run_id: str) -> list[int]:
        config = confirmation(
            changed(configs[run_id], lines),
            unused,
            options.epochs,
            options.train_on,
            options.teacher,
        )
        way = str(Confirmation.of(config, options.train_on, options.int8, lines))
        seeds = set(
            done.loc[(done["confirms"] == run_id) & (done["how"] == way), "seed"]
        )
        return list(
            islice(
                (seed for seed in count(unused) if seed not in seeds),
                max(0, options.seeds - len(seeds)),
            )
        )

    rounds = zip_longest(
        *(
            [f"run{run_id}-seed{seed}" for seed in missing_seeds(run_id)]
            for run_id in chosen
        )
    )
    return [training for trainings in rounds for training in trainings if training]


def _train(
    missing: Sequence[str],
    options: argparse.Namespace,
    overrides: list[str],
    store: "Store",
) -> None:
    """Train them as the trials of a sweep that is named after what it is to train, and
    anew after each that broke off.
    """
    from paretune.tracking import count_confirmations, read_confirmations

    n_complete = len(read_confirmations(store, options.sweep))
    n_broken_off = count_confirmations(store, options.sweep) - n_complete
    question = [
        *missing,
        str(options.epochs),
        options.train_on,
        str(options.teacher),
        str(n_broken_off),
        *(["int8"] if options.int8 else []),
        *options.set,
    ]
    name = hashlib.sha256(" ".join(question).encode()).hexdigest()[:8]
    print(f"{counted(len(missing), 'training')} to go", flush=True)
    sys.argv[1:] = [
        "-m",
        f"training=choice({','.join(missing)})",
        f"epochs={options.epochs or 'null'}",
        f"train_on='{options.train_on}'",
        f"teacher={quoted(options.teacher) if options.teacher else 'null'}",
        f"settings=[{','.join(map(quoted, options.set))}]",
        f"int8={str(options.int8).lower()}",
        f"trust=[{','.join(map(quoted, options.trust))}]",
        f"hydra.sweeper.study_name=confirm-{name}",
        f"hydra.sweeper.n_jobs={options.jobs}",
        f"tracking.uri={quoted(store.uri)}",
        *overrides,
    ]
    main()


def _optimism(models: "DataFrame") -> str:
    gaps = models["optimism"]
    if gaps.empty:
        return "nothing was confirmed"
    return (
        f"The search's validation F1 was above the mean test F1 by {gaps.mean():+.4f} "
        f"on average, {gaps.max():+.4f} at most."
    )


def _parser() -> argparse.ArgumentParser:
    parser = parser_of("paretune confirm", __doc__)
    parser.add_argument("sweep", help="name of a sweep, such as first_mnist")
    parser.add_argument(
        "--seeds",
        type=whole,
        default=5,
        metavar="K",
        help="trainings of each model (default 5)",
    )
    chosen = parser.add_mutually_exclusive_group()
    near = "also models whose F1 is this close to the front's, such as 0.002"
    chosen.add_argument("--near", type=float, metavar="F", help=near)
    run = "this run alone, by the start of its id (may be repeated)"
    chosen.add_argument("--run", type=run_id, action="append", metavar="ID", help=run)
    add_query(parser, f1="validation F1")
    epochs = "train for so many epochs (default: as the sweep did)"
    parser.add_argument("--epochs", type=whole, metavar="N", help=epochs)
    images = "train+val: all images, last epoch"
    parser.add_argument(
        "--train-on", choices=(TRAIN, TRAIN_AND_VAL), default=TRAIN, help=images
    )
    teacher = (
        "weights.pt of a run whose probabilities are learnt from, too "
        "(trainer.distillation)"
    )
    parser.add_argument("--teacher", metavar="FILE", help=teacher)
    setting = (
        "a setting of the training, such as augment=affine or "
        "trainer.restarts.starts=16 (may be repeated)"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="SETTING=VALUE", help=setting
    )
    parser.add_argument(
        "--int8",
        action="store_true",
        help="in whole numbers, as paretune export --int8 writes them",
    )
    parser.add_argument("--jobs", type=whole, default=1, metavar="N", help="workers")
    add_trust(parser)
    add_store(parser)
    parser.epilog = (
        "Further arguments are Hydra overrides, such as hydra/launcher=submitit_slurm."
    )
    return parser
