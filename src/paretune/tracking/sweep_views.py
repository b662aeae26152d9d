"""Links to the views of a sweep in MLflow's UI."""

import logging

from paretune.errors import StoreError
from paretune.tracking.entities import Run
from paretune.tracking.runs import find_sweeps
from paretune.tracking.schema import Tag, find_cost_metric
from paretune.tracking.store import Store
from paretune.tracking.views import View, write_views

log = logging.getLogger(__name__)


def list_links(store: Store, sweep: str | None, address: str) -> dict[str, str]:
    """Links into the UI at ``address`` by what they show: the front of ``sweep``, or of
    the newest one, as a table and as a chart, its trials, and what was confirmed.

    The views are kept in the store first, as those of earlier versions have none. Empty
    for a store without a sweep, or one that cannot be written. Raises
    :class:`~paretune.errors.StoreError` for a sweep that it has not got.
    """
    parent = _find_parent(store, sweep)
    if parent is None:
        return {}
    name = parent.tags[Tag.SWEEP]
    experiment = parent.info.experiment_id
    cost = find_cost_metric(parent.tags.get(Tag.COST, ""))
    links: dict[str, str] = {}
    for view in _write_views(store, name, cost, experiment):
        links[view.title] = view.make_url(address, experiment)
        if view.name != "confirmed":
            chart = view.make_url(address, experiment, chart=True)
            links[f"{view.title}, chart"] = chart
    return links


def _write_views(store: Store, sweep: str, cost: str, experiment: str) -> list[View]:
    try:
        return write_views(store, sweep, cost, experiment)
    except StoreError as error:
        log.warning("the views of sweep %s cannot be kept (%s)", sweep, error)
        return []


def _find_parent(store: Store, sweep: str | None) -> Run | None:
    parents = find_sweeps(store.open_for_reading())
    names = [parent.tags[Tag.SWEEP] for parent in parents]
    if sweep is None:
        return parents[-1] if parents else None
    if sweep not in names:
        known = ", ".join(names) or "no sweep yet"
        raise StoreError(
            f"sweep `{sweep}` is not in the tracking store `{store.uri}`; the store has "
            f"{known}"
        )
    return parents[names.index(sweep)]
