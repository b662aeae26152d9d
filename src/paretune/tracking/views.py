"""Views of a sweep in MLflow's UI: which runs, with which columns, in which order, and a
chart of their F1 over their costs.

MLflow 3.17 keeps the views that people save, and share by a link, as tags of the
experiment, ``mlflow.sharedViewState.KEY``: a name, and as JSON what its page has stored of
filter, columns and charts.
"""

import hashlib
import json
import re
import time
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote, urlencode

from paretune.tracking.runs import FILTERABLE
from paretune.tracking.schema import (
    COST_METRICS,
    VAL_F1,
    RunKind,
    Split,
    State,
    Tag,
)
from paretune.tracking.store import Store
from paretune.tracking.store_errors import translate_errors

TAG = "mlflow.sharedViewState."
# Without it MLflow takes the experiment for one of language models.
KIND_TAG = "mlflow.experimentKind"
KIND = "custom_model_development"
# Sections of charts that MLflow makes of all metrics, one for each: they stay closed.
OTHER_SECTIONS = ("Model metrics", "epoch")
MOST_POINTS = 1000
TAGGABLE = re.compile(r"[\w.\- :/]{1,200}", re.ASCII)


@dataclass(frozen=True)
class View:
    """A view of a sweep: its ``name`` for people, the ``query`` that its runs match, the
    metric that they are sorted by, upwards or not, and the ``columns``.
    """

    sweep: str
    name: str
    query: str
    sorted_by: str
    ascending: bool
    columns: tuple[str, ...]
    score: str
    cost: str

    @property
    def key(self) -> str:
        """Its part of a link, and of the name of a tag, which is short and of few
        characters.
        """
        name = self.sweep
        if not TAGGABLE.fullmatch(name):
            name = hashlib.sha256(name.encode()).hexdigest()[:16]
        return f"paretune-{self.name}-{name}"

    @property
    def title(self) -> str:
        """Its name in the menu of all views of the experiment."""
        return f"{self.sweep}: {self.name}"

    def make_url(self, address: str, experiment_id: str, *, chart: bool = False) -> str:
        """The link to it in the UI at ``address``: to the table of its runs, or to
        their ``chart``.
        """
        query = {"viewStateShareKey": self.key, "workflowType": "machine_learning"}
        if chart:
            query["compareRunsMode"] = "CHART"
        words = urlencode(query, quote_via=quote)
        return f"{address.rstrip('/')}/#/experiments/{experiment_id}/runs?{words}"


def list_views(sweep: str, cost: str) -> list[View]:
    """The views of a sweep over the metric ``cost``: its front, its trials, and the
    models that were confirmed.
    """
    others = tuple(
        _metric(metric) for metric in COST_METRICS.values() if metric != cost
    )
    f1_and_cost = (_metric(VAL_F1), _metric(cost))
    family = _tag(Tag.FAMILY)
    is_complete = f"tags.{Tag.STATE} = '{State.COMPLETE}'"
    trials = View(
        sweep,
        "trials",
        query=_filter(sweep, RunKind.TRIAL, is_complete),
        sorted_by=VAL_F1,
        ascending=False,
        columns=(*f1_and_cost, _tag(Tag.FRONT), family, *others),
        score=VAL_F1,
        cost=cost,
    )
    front = replace(
        trials,
        name="front",
        query=_filter(sweep, RunKind.TRIAL, f"tags.{Tag.FRONT} = 'true'"),
        sorted_by=cost,
        ascending=True,
        columns=(*f1_and_cost, family, *others),
    )
    f1 = Split.TEST.f1
    confirmed = replace(
        trials,
        name="confirmed",
        query=_filter(sweep, RunKind.CONFIRM, is_complete),
        sorted_by=f1,
        columns=(_metric(f1), _metric(cost), _tag(Tag.SEED), _tag(Tag.HOW), *others),
        score=f1,
    )
    return [front, trials, confirmed]


def write_views(
    store: Store, sweep: str, cost: str, experiment: str | None = None
) -> list[View]:
    """Keep the views of a sweep in the store, in the ``experiment`` of this id (default:
    that of the store); returns them. None of a sweep whose name MLflow's filters have no
    words for.
    """
    if not FILTERABLE.fullmatch(sweep):
        return []
    views = list_views(sweep, cost)
    with translate_errors(store.uri):
        experiment = experiment or store.experiment_id
        store.client.set_experiment_tag(experiment, KIND_TAG, KIND)
        for view in views:
            tag = f"{TAG}{view.key}"
            store.client.set_experiment_tag(experiment, tag, _describe(view))
    return views


def _describe(view: View) -> str:
    """The view as MLflow's page writes and reads it."""
    now_ms = int(time.time() * 1000)
    envelope = {
        "name": view.title,
        "createdAt": now_ms,
        "updatedAt": now_ms,
        "state": json.dumps(_make_state(view)),
    }
    return json.dumps(envelope)


def _make_state(view: View) -> dict[str, Any]:
    return {
        "searchFilter": view.query,
        # Sorted by anything but the time MLflow shows each run in a line of its own, and
        # none folded below its parent.
        "orderByKey": _metric(view.sorted_by),
        "orderByAsc": view.ascending,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "modelVersionFilter": "All Runs",
        "datasetsFilter": [],
        "selectedColumns": list(view.columns),
        "columnOrder": list(view.columns),
        "compareRunCharts": [_make_chart(view)],
        "compareRunSections": [
            _make_section("paretune", f"{view.score} over {view.cost}", is_open=True),
            *(_make_section(name, name, is_open=False) for name in OTHER_SECTIONS),
        ],
        "isAccordionReordered": True,
        "runsHiddenMode": "SHOW_ALL",
    }


def _make_chart(view: View) -> dict[str, Any]:
    return {
        "uuid": f"{view.key}-chart",
        "type": "SCATTER",
        "metricSectionId": "paretune",
        "runsCountToCompare": MOST_POINTS,
        "deleted": False,
        "isGenerated": False,
        "xaxis": {"key": view.cost, "type": "METRIC"},
        "yaxis": {"key": view.score, "type": "METRIC"},
    }


def _make_section(identity: str, name: str, *, is_open: bool) -> dict[str, Any]:
    return {
        "uuid": identity,
        "name": name,
        "display": is_open,
        "isReordered": False,
        "deleted": False,
        "isGenerated": False,
    }


def _filter(sweep: str, kind: RunKind, more: str) -> str:
    return f"tags.{Tag.SWEEP} = '{sweep}' and tags.{Tag.KIND} = '{kind}' and {more}"


def _metric(name: str) -> str:
    return f"metrics.`{name}`"


def _tag(name: str) -> str:
    return f"tags.`{name}`"
