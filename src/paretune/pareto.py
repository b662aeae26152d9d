"""The trials and the front of sweeps as tables, for a notebook.

>>> from paretune.pareto import front, trials
>>> front("first_mnist", max_params=5000)[["n_params", "val_f1", "family"]]     # doctest: +SKIP
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from paretune import paths

if TYPE_CHECKING:
    from pandas import DataFrame


def trials(*sweeps: str, uri: str | None = None) -> "DataFrame":
    """A row for each trial of the sweeps, raced and failed ones too: see ``state``.

    ``uri`` is any MLflow tracking URI (default: the store of this folder). Columns:
    sweep, trial, attempt, state (complete, raced, failed, running), front (whether it
    is on the front of all these sweeps), family, model (its YAML's name), n_params,
    macs, ram_bytes, flash_bytes, cost (the name of the one that was searched), val_f1,
    val_accuracy, val_loss, val_images (the number of images that were scored),
    val_effective_images (of how many of equal classes they are worth), val_f1_se (the
    standard error of the F1 on so many), best_epoch, seconds, images_per_s, seed,
    data, started, ended, error, run_id, and ``param.<name>`` for each parameter searched.
    Raises :class:`~paretune.errors.StoreError`.
    """
    from paretune.tracking import Store, read_trials

    store = Store(uri or paths.tracking_uri(paths.store())).open_for_reading()
    return read_trials(store, *sweeps).drop(
        columns=["searched", "config", "layers", "experiment_id"]
    )


def front(
    *sweeps: str,
    uri: str | None = None,
    max_params: int | None = None,
    min_f1: float | None = None,
    families: str | Sequence[str] = (),
) -> "DataFrame":
    """The rows of :func:`trials` on the front of those that are asked for, by the
    rising cost that the sweeps weighed.
    """
    from paretune.reports.query import Query
    from paretune.tracking.trial_table import column_of, complete_rows, front_rows

    query = Query(
        {} if max_params is None else {"params": max_params},
        min_f1,
        (families,) if isinstance(families, str) else tuple(families),
    )
    table = trials(*sweeps, uri=uri)
    query.check_families(table)
    return front_rows(query.rows(complete_rows(table)), column_of(table))
