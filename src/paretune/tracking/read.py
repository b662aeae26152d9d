"""Reading points back from the store."""

import json
from difflib import get_close_matches
from math import nan

from mlflow.entities import Run

from paretune.errors import StoreError
from paretune.point import Point
from paretune.tracking.store import Store

NO_POINT = ("raced", "superseded")  # stopped early; run again after its worker died

__all__ = ["read_points", "sweep_names"]


def sweep_names(store: Store) -> list[str]:
    """Names of the sweeps in the store, oldest first."""
    return [run.data.tags["sweep"] for run in store.runs("tags.kind = 'sweep'")]


def read_points(store: Store, sweep: str) -> list[Point]:
    """The finished trials of a sweep, oldest first.

    Raises :class:`~paretune.errors.StoreError` if the store has no such sweep.
    """
    names = sweep_names(store)
    if sweep not in names:
        near = get_close_matches(sweep, names, n=1)
        known = f"did you mean `{near[0]}`?" if near else f"the store has {', '.join(names) or 'no sweep yet'}"
        message = f"sweep `{sweep}` is not in the tracking store `{store.uri}`; expected the name of a sweep; {known}"
        raise StoreError(message)
    runs = store.runs(f"tags.sweep = '{sweep}' and tags.kind = 'trial' and attributes.status = 'FINISHED'")
    return [_point(run) for run in runs if run.data.tags.get("state") not in NO_POINT]


def _point(run: Run) -> Point:
    metrics, config = run.data.metrics, json.loads(run.data.tags.get("config", "{}"))
    return Point(
        params=int(metrics["n_params"]),
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
