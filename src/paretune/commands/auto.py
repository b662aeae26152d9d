"""``paretune auto``: from data to confirmed models by one command, in the hours that it
is given.

It looks at the data, searches, trains the best models to their end, confirms them with
several seeds, exports them and writes a report. Ctrl-C stops it; the same command goes
on.
"""

import os
import sys
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import isnan, prod
from typing import TYPE_CHECKING, Any

import numpy as np
from hydra.errors import CompactHydraException
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from paretune import paths
from paretune.auto.deadline import Deadline
from paretune.auto.finish_plan import FinishPlan, Member, Time, plan_finish
from paretune.auto.lengths import ImageCounts, SearchLength, choose_length
from paretune.auto.record import PlanQuestion, Record
from paretune.auto.ways import Way
from paretune.commands import train
from paretune.commands.auto_files import write_answer
from paretune.commands.auto_finish import Finish
from paretune.commands.auto_request import (
    CONFIG,
    HOUR_S,
    SET_EPOCH,
    SET_EPOCHS,
    SET_FIRST_RUNG,
    SET_FOLDS,
    SET_NAME,
    SET_RUNGS,
    SET_WORKERS,
    Request,
    read_request,
)
from paretune.commands.data import USES
from paretune.commands.mistakes import EXIT_CODE, exit_on_mistake
from paretune.commands.parsing import format_count
from paretune.commands.sweep import MULTIRUN_OPTIONS
from paretune.duration import count_epochs
from paretune.errors import StoreError
from paretune.front import count_effective_images
from paretune.overrides import quote
from paretune.time_words import format_duration
from paretune.tracking.schema import VAL_F1_SE

if TYPE_CHECKING:
    from paretune.data.survey import Survey
    from paretune.reports.findings import SweepResults
    from paretune.tracking import Store

COMMAND = "paretune auto"
RECORD_FILE = "auto.json"
# Options of Hydra's that show a config, and run nothing.
SHOWING_CONFIG = ("--cfg", "-c", "--help", "-h", "--hydra-help", "--info", "-i")

SEARCH = "search"
FINISH = "finish"
CONFIRM = "confirm"
WRITE = "files"
SEARCH_SHARE = 0.5  # of the hours
FINISH_SHARE = 0.5  # of what is left after the search, at most
LEAST_SEARCH_S = 5.0  # with less left a search does not begin again
# What models and reports take of the time, at most this share of it.
FILES_S = 45.0
FILES_SHARE = 0.1
SCORED_SPLITS = ("train", "val")


def cli(arguments: Sequence[str] | None = None) -> None:
    """Run the command; a person's mistake is one line and exit code 2."""
    given = sys.argv[1:] if arguments is None else [*arguments]
    if any(argument.startswith(SHOWING_CONFIG) for argument in given):
        train.cli(["--config-name", CONFIG, *given], command=COMMAND)
        return
    # Hydra then raises its errors instead of printing them.
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")
    os.environ["PARETUNE_STORE"] = str(paths.store())
    paths.import_from_working_folder()
    with exit_on_mistake(
        COMMAND, CompactHydraException, OmegaConfBaseException, YAMLError
    ):
        lines = train.read_lines(given)
        request = read_request([line for line in lines if line not in MULTIRUN_OPTIONS])
        with _telling_of_interrupts():
            _run(request)


@contextmanager
def _telling_of_interrupts() -> Iterator[None]:
    """Ctrl-C between two sweeps, which tell of it themselves, is one line, too."""
    try:
        yield
    except KeyboardInterrupt as error:
        from paretune.search.interrupts import exit_code_of

        print(f"{COMMAND}: stopped; the same command goes on", file=sys.stderr)
        raise SystemExit(exit_code_of(error)) from None


def _run(request: Request) -> None:
    """All stages, as far as the record does not say that they are over."""
    record = Record.read(request.folder / RECORD_FILE)
    _forget_lost(request, record)
    _search(request, record)

    store = _open_store(request)
    results = _read_results(request, store)
    members = {member.run_id: member for member in _read_members(results)}
    plan = _find_plan(request, record, results, list(members.values()))
    finish = Finish(request, store, results, members, plan)
    _tell_stage(request, record, _describe_plan(plan))
    with record.timing(FINISH):
        finish.try_ways(Deadline.after(_find_left_to_finish_s(request, record)))
    chosen = finish.choose_ways()
    _tell_stage(request, record, _describe_ways(chosen))
    with record.timing(CONFIRM):
        finish.confirm(chosen, Deadline.after(_find_left_s(request, record)))

    record.seconds.pop(WRITE, None)  # what was written is written again
    _tell_stage(request, record, "files")
    with record.timing(WRITE):
        write_answer(request, store)
    _tell_end(request, record)


def _forget_lost(request: Request, record: Record) -> None:
    """Begin anew where the record tells of a search that the store has not got."""
    if not record.seconds or request.name in _list_searches(request):
        return
    print(f"{COMMAND}: the store has no search {request.name}; it begins anew")
    record.forget()


def _list_searches(request: Request) -> set[str]:
    """The names of the sweeps that the store has."""
    from paretune.tracking import Store, find_sweeps
    from paretune.tracking.schema import Tag

    store = Store(request.tracking["uri"])
    if store.file and not store.file.is_file():
        return set()
    return {run.tags[Tag.SWEEP] for run in find_sweeps(store.open_for_reading())}


def _search(request: Request, record: Record) -> None:
    """Search, if its time is not over."""
    left_s = SEARCH_SHARE * request.total_s - record.seconds.get(SEARCH, 0.0)
    if left_s < LEAST_SEARCH_S:
        return
    deadline = Deadline.after(left_s)
    with record.timing(SEARCH):
        found = _look(request)
        if record.length is None:
            record.length = _choose_length(request, found)
        _tell_stage(request, record, _describe_search(request, record.length))
        train.cli(_list_search_lines(request, record.length, deadline), COMMAND)


def _look(request: Request) -> "Survey":
    """A survey of the data, of which a person is told what is odd.

    Raises :class:`SystemExit` where a training could not read them.
    """
    from paretune.data.survey import survey

    found = survey(request.data)
    for mistake in found.mistakes:
        print(f"{COMMAND}: {mistake}", file=sys.stderr)
    if found.mistakes:
        raise SystemExit(EXIT_CODE)
    print(f"{COMMAND}: {_describe_data(found)}")
    for warning in found.warnings:
        print(f"{COMMAND}: beware: {warning}")
    return found


def _describe_data(found: "Survey") -> str:
    counts = [
        f"{len(found.parts[split]):,} {use}"
        for split, use in USES.items()
        if split in found.parts
    ]
    classes = format_count(len(found.class_names), "class", "classes")
    return f"{found.name} has {classes}; images: {', '.join(counts)}"


def _choose_length(request: Request, found: "Survey") -> SearchLength:
    from paretune.data import fit_to_data

    model = {"image_shape": None, "num_classes": None}
    scored = [found.parts[split] for split in SCORED_SPLITS if split in found.parts]
    labels = np.concatenate([part.labels for part in scored])
    n_train = len(found.parts["train"])
    images = ImageCounts(
        train=n_train,
        val=len(labels) - n_train,
        effective_share=count_effective_images(np.bincount(labels)) / len(labels),
        of_rarest=int(np.bincount(labels).min()),
        pixels=prod(fit_to_data(model, request.data)["image_shape"]),
    )
    core_s = SEARCH_SHARE * request.total_s * request.n_workers
    return choose_length(images, core_s, epochs=request.epochs, folds=request.folds)


def _list_search_lines(
    request: Request, length: SearchLength, deadline: Deadline
) -> list[str]:
    """The arguments of ``paretune train`` for the search. What a person has set
    stays.
    """
    chosen: dict[str, object] = {
        SET_EPOCHS: length.epochs,
        SET_FIRST_RUNG: length.first_rung,
        SET_RUNGS: length.rungs,
        SET_WORKERS: request.n_workers,
    }
    if length.folds > 1:
        chosen |= {SET_FOLDS: length.folds, SET_EPOCH: "last"}
    lines = ["--config-name", CONFIG, *request.overrides]
    for beginning, value in chosen.items():
        if not request.is_set(beginning):
            lines.append(f"{beginning}{value}")
    lines.append(f"{SET_NAME}{quote(request.name)}")
    lines.append(f"hydra.sweeper.timeout_s={deadline.read_left_s():.1f}")
    return lines


def _open_store(request: Request) -> "Store":
    from paretune.tracking import Store

    return Store(request.tracking["uri"]).open_for_reading()


def _read_results(request: Request, store: "Store") -> "SweepResults":
    """The results of the search. Raises :class:`~paretune.errors.StoreError` if it has
    finished no training.
    """
    from paretune.reports.findings import read_results
    from paretune.reports.query import Query
    from paretune.tracking import read_trials
    from paretune.tracking.trial_table import complete_rows

    if complete_rows(read_trials(store, request.name)).empty:
        raise StoreError(
            f"search `{request.name}` has finished no training in its "
            f"{format_duration(SEARCH_SHARE * request.total_s)}; give more hours"
        )
    return read_results(store, [request.name], Query(cost=request.cost))


def _read_members(results: "SweepResults") -> list[Member]:
    """The models on the front of the search."""
    members: list[Member] = []
    for row in results.members.to_dict("records"):
        config = row["config"]
        epochs = count_epochs(config["trainer"]) * _count_folds(config)
        members.append(
            Member(
                run_id=row["run_id"],
                cost=float(row[results.cost]),
                score=float(row[results.score.column]),
                epoch_s=float(row["seconds"]) / epochs,
                standard_error=_read_standard_error(row),
                folds=_count_folds(row["config"]),
            )
        )
    return members


def _read_standard_error(row: Mapping[Hashable, Any]) -> float:
    """The standard error of a model's score; 0 where the images were not counted."""
    error = float(row[VAL_F1_SE])
    return 0.0 if isnan(error) else error


def _count_folds(config: Mapping[str, Any]) -> int:
    return int(config["selection"].get("folds", 1))


def _find_plan(
    request: Request, record: Record, results: "SweepResults", members: Sequence[Member]
) -> FinishPlan:
    """The plan that was made for the same request after as many trials; else a new
    one.
    """
    question = PlanQuestion(
        n_trials=len(results.models),
        seeds=request.seeds,
        hours=request.total_s / HOUR_S,
        cost=request.cost,
    )
    if record.plan is None or record.question != question:
        time = Time(_find_left_s(request, record), request.n_workers)
        epochs = results.models["config"].iloc[0]["trainer"]["max_epochs"]
        record.plan = plan_finish(members, epochs, request.seeds, time, request.cost)
        record.question = question
        record.write()
    return record.plan


def _find_left_s(request: Request, record: Record) -> float:
    """The seconds that are left before files are written."""
    files_s = min(FILES_S, FILES_SHARE * request.total_s)
    return request.total_s - files_s - record.total_s


def _find_left_to_finish_s(request: Request, record: Record) -> float:
    """The seconds that are left to try ways in: over all commands no more than their
    share of what the search has left.
    """
    took_s = record.seconds.get(FINISH, 0.0)
    after_search_s = _find_left_s(request, record) + took_s
    return FINISH_SHARE * after_search_s - took_s


def _describe_search(request: Request, length: SearchLength) -> str:
    workers = format_count(request.n_workers, "worker")
    time = format_duration(SEARCH_SHARE * request.total_s)
    words = f"search for {time} with {workers}, {length.epochs} epochs a training"
    if length.folds > 1:
        words += f", scored on all images in {length.folds} folds as they are few"
    return words


def _describe_plan(plan: FinishPlan) -> str:
    models = format_count(len(plan.run_ids), "model")
    sizes = format_count(len(plan.representatives), "size")
    return f"finish {models} with {plan.epochs} epochs; ways are tried for {sizes}"


def _describe_ways(chosen: Mapping[str, Way]) -> str:
    ways = ", ".join(dict.fromkeys(way.name for way in chosen.values()))
    return f"confirm {format_count(len(chosen), 'model')}; ways, by rising size: {ways}"


def _tell_stage(request: Request, record: Record, stage: str) -> None:
    left_s = max(0.0, request.total_s - record.total_s)
    print(f"{COMMAND}: {stage} | {format_duration(left_s)} left", flush=True)


def _tell_end(request: Request, record: Record) -> None:
    took = ", ".join(
        f"{stage} {format_duration(seconds)}"
        for stage, seconds in record.seconds.items()
    )
    print(
        f"{COMMAND}: done; it took {format_duration(record.total_s)} of "
        f"{format_duration(request.total_s)} ({took})"
    )
