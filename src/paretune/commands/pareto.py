"""``paretune pareto``: the front of a sweep, or of any Optuna study, as table, files and
report.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from paretune.commands.mistakes import exit_on_mistake
from paretune.commands.pareto_study import (
    StudyOptions,
    draw_over_setting,
    refuse_options_of_trainings,
    report_study,
)
from paretune.commands.parsing import (
    add_query,
    add_store,
    make_parser,
    read_query,
    read_store_uri,
)
from paretune.errors import ConfigError
from paretune.hints import next_command

if TYPE_CHECKING:
    import argparse

    from paretune.reports.findings import SweepResults
    from paretune.reports.query import Query


@dataclass(frozen=True)
class Options:
    """A person's request.

    ``sweep`` may be the names of several, ``a,b``. Without a ``folder`` the files go
    where reports of these models usually are.
    """

    sweep: str
    query: "Query"
    over: str | None
    beats: str | None
    folder: Path | None
    ui_url: str
    store_uri: str


def cli(arguments: Sequence[str] | None = None) -> None:
    """Print the front and write its files; a person's mistake is one line and exit code
    2.
    """
    given = _make_parser().parse_args(arguments)
    with exit_on_mistake("paretune pareto"):
        if given.study:
            report_study(_read_study_options(given))
        else:
            _report(_read_options(given))


def _read_study_options(given: "argparse.Namespace") -> StudyOptions:
    refuse_options_of_trainings(vars(given))
    return StudyOptions(
        storage=given.study,
        name=given.name,
        cost=given.cost,
        over=given.over,
        folder=Path(given.out) if given.out else None,
    )


def _read_options(given: "argparse.Namespace") -> Options:
    if given.name:
        raise ConfigError(
            f"--name `{given.name}` names a study without --study; add --study URL"
        )
    if not given.sweep:
        raise ConfigError(
            "no sweep is named; write such as paretune pareto first_mnist, or "
            "--study sqlite:///optuna.db"
        )
    return Options(
        sweep=given.sweep,
        query=read_query(given, confirmed=given.confirmed),
        over=given.over,
        beats=given.beats,
        folder=Path(given.out) if given.out else None,
        ui_url=given.ui,
        store_uri=read_store_uri(given),
    )


def _report(options: Options) -> None:
    from rich.console import Console

    from paretune.reports.files import folder_of, write_files
    from paretune.reports.findings import read_results
    from paretune.reports.terminal import answer_query, build_results_table
    from paretune.tracking import Store

    console = Console()
    store = Store(options.store_uri).open_for_reading()
    sweeps = list(dict.fromkeys(options.sweep.split(",")))
    with console.status(f"reading {options.sweep}"):
        results = read_results(store, sweeps, options.query)
    folder = options.folder or Path(folder_of(options.sweep, results.query.part))
    pictures: list[str] = []
    if options.over:
        pictures.append(draw_over_setting(results, options.over, folder))
    console.print(build_results_table(results, console.width))
    for line in answer_query(results, beats=options.beats):
        console.print(line, soft_wrap=True)
    with console.status("writing the report"):
        names = write_files(results, store, folder, options.ui_url)
    written = ", ".join([*names, *pictures])
    console.print(f"Written to {folder}: {written}", soft_wrap=True)
    print(_suggest_next(results, options.store_uri))


def _suggest_next(results: "SweepResults", store_uri: str) -> str:
    """The command that usually comes after the table: the front is confirmed, or a
    confirmed model exported.
    """
    from paretune.reports.pick import pick_model

    model = pick_model(results) or results.members.iloc[-1]
    sweep = model["sweep"]
    run_id = model["run_id"]
    is_part = len(results.sweeps) > 1 or results.query.part not in ("", "confirmed")
    run = ["--run", run_id[:8]] if is_part else []
    if results.query.confirmed:
        arguments = [sweep, "model.onnx", "--confirmed", *run]
        return next_command("export", *arguments, uri=store_uri)
    if run_id in set(results.confirmed["run_id"]):
        sweeps = ",".join(results.sweeps)
        return next_command("pareto", sweeps, "--confirmed", uri=store_uri)
    return next_command("confirm", sweep, *run, uri=store_uri)


def _make_parser() -> "argparse.ArgumentParser":
    parser = make_parser(
        "paretune pareto",
        "The params-vs-F1 front of a sweep, or of several; with --study that of any "
        "Optuna study of a cost and a score.",
    )
    parser.add_argument(
        "sweep", nargs="?", help="name of a sweep, such as first_mnist; several as a,b"
    )
    _add_study(parser)
    add_query(parser)
    _add_questions(parser)
    add_store(parser)
    _add_places(parser)
    return parser


def _add_study(parser: "argparse.ArgumentParser") -> None:
    parser.add_argument(
        "--study",
        metavar="URL",
        help=(
            "instead of a sweep: the storage of any Optuna study, as an SQLAlchemy URL "
            "or a SQLite file; it is only read. --cost names the objective that is the "
            "cost, where both are minimised"
        ),
    )
    parser.add_argument(
        "--name", metavar="STUDY", help="the study, where the storage has several"
    )


def _add_questions(parser: "argparse.ArgumentParser") -> None:
    parser.add_argument(
        "--confirmed",
        action="store_true",
        help="only what paretune confirm trained again, by its test F1",
    )
    parser.add_argument(
        "--beats",
        metavar="NAME",
        help="which models beat this published one (part of its name)",
    )
    parser.add_argument(
        "--over",
        metavar="SETTING",
        help=(
            "also draw F1 over this setting that was searched, such as "
            "data.splitting.train_size"
        ),
    )


def _add_places(parser: "argparse.ArgumentParser") -> None:
    """Add where the UI is, and where the files go."""
    parser.add_argument(
        "--ui",
        default="http://127.0.0.1:5000",
        help="where the MLflow UI is, for the report's links",
    )
    parser.add_argument(
        "--out",
        help=(
            "folder for the files (default: sweeps/SWEEP, a folder below it for a "
            "part of the models; pareto/STUDY)"
        ),
    )
