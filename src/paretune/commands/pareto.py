"""``paretune pareto``: the front of a sweep as table, files and report."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from paretune.commands.mistakes import exit_on_mistake
from paretune.commands.parsing import add_query, add_store, parser_of, query_of, uri_of
from paretune.hints import next_command

if TYPE_CHECKING:
    from paretune.reports.findings import SweepResults


def cli(arguments: Sequence[str] | None = None) -> None:
    """Print the front and write its files; a person's mistake is one line and exit code
    2.
    """
    options = _parser().parse_args(arguments)
    with exit_on_mistake("paretune pareto"):
        _report(options)


def _report(options: argparse.Namespace) -> None:
    from rich.console import Console

    from paretune.reports.files import folder_of, write_files
    from paretune.reports.findings import find
    from paretune.reports.terminal import answer_query, build_results_table
    from paretune.tracking import Store

    console = Console()
    store = Store(uri_of(options)).require()
    with console.status(f"reading {options.sweep}"):
        results = find(
            store, [*dict.fromkeys(options.sweep.split(","))], query_of(options)
        )
    out = Path(options.out or folder_of(options.sweep, results.query.part))
    if options.over:
        from paretune.reports.figure import draw_over

        out.mkdir(parents=True, exist_ok=True)
        draw_over(results, options.over, out / "over.png")
    console.print(build_results_table(results, console.width))
    for line in answer_query(results, beats=options.beats):
        console.print(line, soft_wrap=True)
    with console.status("writing the report"):
        names = [
            *write_files(results, store, out, options.ui),
            *(["over.png"] if options.over else []),
        ]
    console.print(f"Written to {out}: {', '.join(names)}", soft_wrap=True)
    print(_next(results, uri_of(options)))


def _next(results: "SweepResults", uri: str) -> str:
    """What usually comes after the table: the front is confirmed, or a confirmed model
    exported.
    """
    best = results.members.iloc[-1]
    is_part = len(results.sweeps) > 1 or results.query.part not in ("", "confirmed")
    run = ["--run", best["run_id"][:8]] if is_part else []
    if results.query.confirmed:
        return next_command(
            "export", best["sweep"], "model.onnx", "--confirmed", *run, uri=uri
        )
    if best["run_id"] in set(results.confirmed["run_id"]):
        return next_command("pareto", ",".join(results.sweeps), "--confirmed", uri=uri)
    return next_command("confirm", best["sweep"], *run, uri=uri)


def _parser() -> argparse.ArgumentParser:
    parser = parser_of(
        "paretune pareto", "The params-vs-F1 front of a sweep, or of several."
    )
    parser.add_argument(
        "sweep", help="name of a sweep, such as first_mnist; several as a,b"
    )
    add_query(parser)
    confirmed = "only what paretune confirm trained again, by its test F1"
    parser.add_argument("--confirmed", action="store_true", help=confirmed)
    parser.add_argument(
        "--beats",
        metavar="NAME",
        help="which models beat this published one (part of its name)",
    )
    over = (
        "also draw F1 over this setting that was searched, such as "
        "data.splitting.train_size"
    )
    parser.add_argument("--over", metavar="SETTING", help=over)
    add_store(parser)
    parser.add_argument(
        "--ui",
        default="http://127.0.0.1:5000",
        help="where the MLflow UI is, for the report's links",
    )
    folder = (
        "folder for the files (default: sweeps/SWEEP, a folder below it for a part of "
        "the models)"
    )
    parser.add_argument("--out", help=folder)
    return parser
