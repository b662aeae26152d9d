"""The last stage of ``paretune auto``: every confirmed model as files, and the report."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from paretune.atomic import all_or_nothing
from paretune.commands.auto_request import Request
from paretune.commands.export_files import export_model, file_names
from paretune.commands.export_request import Options
from paretune.commands.export_request import Request as ExportRequest
from paretune.errors import ExportError
from paretune.hints import name_example, next_command
from paretune.layers.windows import is_signal
from paretune.reports.query import Query

if TYPE_CHECKING:
    from paretune.front import Point
    from paretune.reports.findings import SweepResults
    from paretune.tracking import Store


def write_answer(request: Request, store: "Store") -> None:
    """Write the models, the tables and the report to the folder of the search, and show
    what was confirmed.
    """
    from paretune.reports.confirmed import select_most_seeds
    from paretune.reports.files import LOCAL_UI, write_confirmed, write_files
    from paretune.reports.findings import read_results
    from paretune.reports.pick import pick_model
    from paretune.reports.terminal import build_confirmed_table, describe_pick
    from paretune.tracking.points import points_of

    query = Query(cost=request.cost)
    confirmed = replace(query, confirmed=True)
    results = read_results(store, [request.name], confirmed)
    models = select_most_seeds(results.confirmed)
    points = points_of(models, results.split)
    files = file_names(request.folder / "models", points)
    console = Console()
    for path, point in files.items():
        with console.status(f"writing {path}"):
            notes = _export(request, store, results, path, point)
        for note in notes:
            console.print(note, soft_wrap=True)

    searched = read_results(store, [request.name], query)
    with console.status("writing the report"):
        ui = store.uri if store.is_server else LOCAL_UI
        names = write_files(searched, store, request.folder, ui)
        write_confirmed(results.confirmed, request.folder / "confirmed.csv")
    console.print(build_confirmed_table(models, results.title, _list_costs(results)))
    names += ["confirmed.csv", "models/"]
    console.print(f"Written to {request.folder}: {', '.join(names)}", soft_wrap=True)
    # Validation chooses, among the models that are there.
    is_written = searched.table["run_id"].isin(models["run_id"])
    written = replace(searched, table=searched.table[is_written])
    model = pick_model(written)
    if model is None:
        return
    console.print(describe_pick(model, written), soft_wrap=True)
    taken = {point.run_id: path for path, point in files.items()}
    image_shape = model["config"]["model"]["image_shape"]
    example = name_example(is_signal=is_signal(image_shape))
    print(next_command("predict", str(taken[model["run_id"]]), example))


def _list_costs(results: "SweepResults") -> list[str]:
    from paretune.tracking.schema import N_PARAMS

    return list(dict.fromkeys([N_PARAMS, results.cost]))


def _export(
    request: Request,
    store: "Store",
    results: "SweepResults",
    path: Path,
    point: "Point",
) -> list[str]:
    """Write a model in every format that it can have; returns a line on each that it
    cannot.
    """
    notes: list[str] = []
    for options in _list_options(request, path):
        asked = ExportRequest(options, point, results.confirmation(point.run_id))
        try:
            with all_or_nothing(path.parent) as staged:
                export_model(asked, store, staged / path.name)
            return notes
        except ExportError as error:
            note = f"{path}: {error}"
            if note not in notes:
                notes.append(note)
    return notes


def _list_options(request: Request, path: Path) -> Iterator[Options]:
    """The formats to try: all, then without C or whole numbers, then without both."""
    for c, int8 in ((True, True), (True, False), (False, True), (False, False)):
        yield Options(
            sweep=request.name,
            model=path,
            query=Query(cost=request.cost, confirmed=True),
            run=None,
            confirmed=True,
            c=c,
            int8=int8,
            trust=request.trust,
            store_uri=request.tracking["uri"],
        )
