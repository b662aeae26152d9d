"""``paretune-confirm``: models that a sweep found, trained again with other seeds; the test set read once a seed.

Each training is a trial of a sweep of its own, so that ``--jobs`` and Hydra's launchers work as they do in any. What is
finished is in the store; the same command trains what is missing.
"""

import argparse
import hashlib
import os
import shlex
import sys
from collections.abc import Sequence
from itertools import count, islice, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hydra
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.errors import CompactHydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from paretune import paths
from paretune.cli import add_query, add_store, counted, exit_on_mistake, parser_of, query_of, uri_of, whole
from paretune.errors import ConfigError
from paretune.paths import refuse_passwords

if TYPE_CHECKING:
    from paretune.front import Point
    from paretune.reports.confirmed import Confirmed
    from paretune.reports.findings import SweepResults
    from paretune.tracking import Store

__all__ = ["cli"]


@hydra.main(config_path=str(paths.CONF), config_name="confirm", version_base="1.3")
def main(cfg: DictConfig) -> Sequence[float]:
    """Train one model again as ``cfg.training`` says; returns (parameters, validation F1)."""
    from paretune.experiment import start_point, train_recorded
    from paretune.tracking import RunRecorder, Store, read_run

    tracking: Any = OmegaConf.to_container(cfg.tracking, resolve=True)
    store = Store(**tracking)
    run_id, _, seed = cfg.training.removeprefix("run").partition("-seed")
    member, sweep = read_run(store, run_id)
    config = OmegaConf.create({**again(member.config, int(seed), cfg.epochs, cfg.train_on), "test": True})
    start = start_point(config, member.data)
    tags = {"kind": "confirm", "sweep": sweep, "confirms": run_id, "seed": seed, "data": member.data,
            "how": how(start.config, cfg.train_on)}  # fmt: skip
    name = f"{sweep}-{start.params}-confirm-{seed}"
    same = ("kind", "confirms", "seed", "how")
    with RunRecorder(store, name, tags=tags, searched={"seed": seed}, replaces=same) as recorder:
        point = train_recorded(config, start, recorder)
    return point.params, point.f1


def again(config: Any, seed: int, epochs: int | None, train_on: str) -> dict[str, Any]:
    """The config of a run, to be trained with another seed, for so many epochs, on the training images or on all.

    On all there is nothing to choose the epoch by: the weights of the last one are kept.
    """
    sections: dict[str, Any] = {**config, "seed": seed}
    sections["trainer"] = {**config["trainer"], **({"max_epochs": epochs} if epochs else {})}
    sections["data"] = paths.data_now(config["data"])
    if train_on == "train+val":
        if "splitting" not in sections["data"]:
            message = f"data `{sections['data'].get('_target_')}` has no splitting; expected one to train on train+val; use --train-on train"
            raise ConfigError(message)
        sections["data"]["splitting"] = {**sections["data"]["splitting"], "train_on_val": True}
        sections["trainer"]["patience"] = None
        sections["selection"] = {**config["selection"], "epoch": "last"}
    return sections


def how(config: Any, train_on: str) -> str:
    """How a model is trained again, in words: trainings that differ here are not averaged."""
    rule = "the last" if train_on != "train" or config["selection"]["epoch"] == "last" else "best on validation"
    return f"{counted(config['trainer']['max_epochs'], 'epoch')} on {train_on}, {rule}"


def cli(arguments: Sequence[str] | None = None) -> None:
    """Run the command; a person's mistake is one line and exit code 2."""
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")
    options, overrides = _parser().parse_known_args(arguments)
    os.environ["PARETUNE_STORE"] = str(Path(options.store).resolve())
    with exit_on_mistake("paretune-confirm", CompactHydraException, OmegaConfBaseException):
        refuse_passwords(options.uri, *overrides)
        _confirm(options, overrides)


def _confirm(options: argparse.Namespace, overrides: list[str]) -> None:
    from rich.console import Console

    from paretune.reports.files import folder_of, write_confirmed
    from paretune.reports.findings import find
    from paretune.reports.terminal import beaten, confirmed_table
    from paretune.tracking import Store

    uri, wanted = uri_of(options), query_of(options)

    def read() -> "SweepResults":
        return find(Store(uri).require(), [options.sweep], wanted, paths.CONF / "references")

    findings = read()
    chosen = [point.run_id for point in _chosen(findings, options)]
    missing = _missing(findings, chosen, options, Store(uri))
    if missing:
        _train(missing, options, overrides, uri)
    findings = read()
    rows = [row for row in findings.confirmed if row.point.run_id in chosen]
    console = Console()
    console.print(confirmed_table(rows, f"{options.sweep}: {counted(len(rows), 'model')} trained again"))
    for line in [_optimism(rows), *beaten(rows, findings.references)]:
        console.print(line, soft_wrap=True)
    path = folder_of(options.sweep) / "confirmed.csv"
    write_confirmed(findings.confirmed, path)
    shown = f"paretune-pareto {shlex.quote(options.sweep)} --confirmed"
    console.print(f"Written: {path}. The report shows it: {shown}", soft_wrap=True)


def _chosen(findings: "SweepResults", options: argparse.Namespace) -> "list[Point]":
    """The runs asked for by ``--run``, or the front and those that come within ``--near`` of it at their size."""
    if options.run:
        return list({point.run_id: point for point in map(findings.run, options.run)}.values())

    def best(size: int) -> float:
        return max(p.f1 for p in findings.members if p.params <= size)

    near = [p for p in findings.points if p.f1 >= best(p.params) - options.near] if options.near else []
    return sorted({p.run_id: p for p in [*findings.members, *near]}.values(), key=lambda p: p.params)


def _missing(findings: "SweepResults", chosen: Sequence[str], options: argparse.Namespace, store: "Store") -> list[str]:
    """Trainings that the store has not got, as ``run<id>-seed<n>``; every model's first seed before any second."""
    from paretune.tracking import read_confirmations

    done = read_confirmations(store, options.sweep)
    by_run = {point.run_id: point for point in findings.points}
    unused = max(point.seed for point in findings.points) + 1

    def lacking(run_id: str) -> list[int]:
        way = how(again(by_run[run_id].config, unused, options.epochs, options.train_on), options.train_on)
        had = {one.seed for one in done if (one.confirms, one.how) == (run_id, way)}
        return list(islice((seed for seed in count(unused) if seed not in had), max(0, options.seeds - len(had))))

    rounds = zip_longest(*([f"run{run_id}-seed{seed}" for seed in lacking(run_id)] for run_id in chosen))
    return [training for one in rounds for training in one if training]


def _train(missing: Sequence[str], options: argparse.Namespace, overrides: list[str], uri: str) -> None:
    """Train them as the trials of a sweep that is named after what it is to train, and anew after each that failed."""
    from paretune.tracking import Store, count_failed_confirmations

    failed = count_failed_confirmations(Store(uri), options.sweep)
    question = [*missing, str(options.epochs), options.train_on, str(failed)]
    name = hashlib.sha256(" ".join(question).encode()).hexdigest()[:8]
    print(f"{counted(len(missing), 'training')} to go", flush=True)
    sys.argv[1:] = [
        "-m", f"training=choice({','.join(missing)})", f"epochs={options.epochs or 'null'}", f"train_on='{options.train_on}'",
        f"hydra.sweeper.study_name=confirm-{name}", f"hydra.sweeper.n_jobs={options.jobs}", f"tracking.uri={QuotedString(uri, Quote.single).with_quotes()}", *overrides,
    ]  # fmt: skip
    main()


def _optimism(rows: "Sequence[Confirmed]") -> str:
    gaps = [row.optimism for row in rows]
    if not gaps:
        return "nothing was confirmed"
    mean, most = sum(gaps) / len(gaps), max(gaps)
    return f"The search's validation F1 was above the mean test F1 by {mean:+.4f} on average, {most:+.4f} at most."


def _parser() -> argparse.ArgumentParser:
    parser = parser_of("paretune-confirm", __doc__)
    parser.add_argument("sweep", help="name of a sweep, such as first_mnist")
    parser.add_argument("--seeds", type=whole, default=5, metavar="K", help="trainings of each model (default 5)")
    parser.add_argument(
        "--near", type=float, metavar="F", help="also models whose F1 is this close to the front's, such as 0.002"
    )
    parser.add_argument(
        "--run", action="append", metavar="ID", help="this run alone, by the start of its id (may be repeated)"
    )
    add_query(parser, f1="validation F1")
    parser.add_argument(
        "--epochs", type=whole, metavar="N", help="train for so many epochs (default: as the sweep did)"
    )
    parser.add_argument(
        "--train-on", choices=("train", "train+val"), default="train", help="train+val: all images, last epoch"
    )
    parser.add_argument("--jobs", type=whole, default=1, metavar="N", help="workers")
    add_store(parser)
    parser.epilog = "Further arguments are Hydra overrides, such as hydra/launcher=submitit_slurm."
    return parser


if __name__ == "__main__":
    cli()
