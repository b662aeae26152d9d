"""Reading trials back from the store."""

import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from math import nan
from pathlib import Path

from mlflow.entities import Run

from paretune.errors import StoreError
from paretune.front import Point
from paretune.tracking.store import Store, one_line, quoted

__all__ = [
    "Confirmation",
    "Trial",
    "point_of",
    "read_confirmations",
    "read_curve",
    "read_points",
    "read_trials",
    "sweep_names",
]

STATES = {"FINISHED": "complete", "FAILED": "failed", "RUNNING": "running"}


@dataclass(frozen=True, slots=True)
class Trial:
    """A trial of a sweep as the store has it.

    ``state`` is ``complete``, ``raced``, ``failed`` or ``running``; only a complete one is a point to compare with others. What a
    trial has not got (a score before it ends, a count before it is built) is NaN. Times are seconds since 1970.
    """

    sweep: str
    number: int
    attempt: int
    state: str
    point: Point
    searched: Mapping[str, str]
    params: float
    images_per_s: float
    started_s: float
    ended_s: float
    error: str
    experiment_id: str


def sweep_names(store: Store) -> list[str]:
    """Names of the sweeps in the store, oldest first."""
    return [run.data.tags["sweep"] for run in store.runs("tags.kind = 'sweep'")]


def read_trials(store: Store, *sweeps: str) -> list[Trial]:
    """The trials of these sweeps, each sweep's oldest first; attempts that were run again are left out.

    Raises :class:`~paretune.errors.StoreError` if the store has no such sweep.
    """
    names = sweep_names(store)
    for sweep in sweeps:
        if sweep not in names:
            near = get_close_matches(sweep, names, n=1)
            known = f"did you mean `{near[0]}`?" if near else f"the store has {', '.join(names) or 'no sweep yet'}"
            raise StoreError(
                f"sweep `{sweep}` is not in the tracking store `{store.uri}`; expected the name of a sweep; {known}"
            )
    found = [
        _trial(run) for sweep in sweeps for run in store.runs(f"tags.sweep = {quoted(sweep)} and tags.kind = 'trial'")
    ]
    return [trial for trial in found if trial.state in {*STATES.values(), "raced"}]


def read_points(store: Store, *sweeps: str) -> list[Point]:
    """The points that the complete trials of these sweeps are."""
    return [trial.point for trial in read_trials(store, *sweeps) if trial.state == "complete"]


def _trial(run: Run) -> Trial:
    metrics, tags = run.data.metrics, run.data.tags
    state = tags.get("state") or STATES.get(run.info.status, "killed")
    params = metrics.get("n_params", nan)
    return Trial(
        sweep=tags["sweep"],
        number=int(tags["trial"]),
        attempt=int(tags.get("attempt", 0)),
        state=state,
        point=point_of(run),
        searched=run.data.params,
        params=params,
        images_per_s=metrics.get("images_per_s", nan),
        started_s=run.info.start_time / 1000,
        ended_s=run.info.end_time / 1000 if run.info.end_time else nan,
        error=tags.get("error", ""),
        experiment_id=run.info.experiment_id,
    )


def point_of(run: Run) -> Point:
    """The point that a run is; scores that it has not got are NaN, and without a count it has 0 parameters."""
    metrics, config = run.data.metrics, json.loads(run.data.tags.get("config", "{}"))
    return Point(
        params=int(metrics.get("n_params", 0)),
        f1=metrics.get("val_f1", nan),
        accuracy=metrics.get("val_accuracy", nan),
        loss=metrics.get("val_loss", nan),
        seconds=metrics.get("seconds", nan),
        seed=int(config.get("seed", 0)),
        family=run.data.tags.get("family", ""),
        data=run.data.tags.get("data", ""),
        best_epoch=int(metrics.get("best_epoch", -1)),
        config=config,
        run_id=run.info.run_id,
    )


@dataclass(frozen=True, slots=True)
class Confirmation:
    """A training of ``paretune-confirm``: the run it ``confirms``, its seed, and how it differed from that run in words."""

    confirms: str
    seed: int
    how: str
    val_f1: float
    test_f1: float
    test_accuracy: float
    run_id: str


def read_confirmations(store: Store, *sweeps: str) -> list[Confirmation]:
    """The finished trainings that confirm trials of these sweeps, oldest first."""
    asked = "tags.sweep = {} and tags.kind = 'confirm' and tags.state = 'complete'"
    runs = [run for sweep in sweeps for run in store.runs(asked.format(quoted(sweep)))]
    return [_confirmation(run) for run in runs]


def count_failed_confirmations(store: Store, sweep: str) -> int:
    """How many trainings broke off that were to confirm trials of the sweep."""
    return len(store.runs(f"tags.sweep = {quoted(sweep)} and tags.kind = 'confirm' and tags.state = 'failed'"))


def _confirmation(run: Run) -> Confirmation:
    metrics, tags = run.data.metrics, run.data.tags
    scores = (metrics["val_f1"], metrics["test_f1"], metrics["test_accuracy"])
    return Confirmation(tags["confirms"], int(tags["seed"]), tags["how"], *scores, run.info.run_id)


def read_curve(store: Store, run_id: str, name: str = "val_f1") -> list[tuple[int, float]]:
    """(epoch, value) of a run's curve, by epoch."""
    history = store.client.get_metric_history(run_id, f"epoch/{name}")
    return sorted((point.step, point.value) for point in history)


def read_run(store: Store, run_id: str) -> tuple[Point, str]:
    """The point that a run is, and the name of its sweep (empty if it is of none)."""
    run = store.client.get_run(run_id)
    return point_of(run), run.data.tags.get("sweep", "")


@contextmanager
def weights_of(store: Store, run_id: str) -> Iterator[Path]:
    """A copy of a run's ``weights.pt``, there while the block lasts."""
    with tempfile.TemporaryDirectory() as folder:
        with one_line(store.uri):
            path = store.client.download_artifacts(run_id, "weights.pt", folder)
        yield Path(path)
