"""``report.html`` in a real browser."""

import gzip
import json
import re
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from math import nan
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chromium import open_browser
from paretune.reports.figure import f1_ticks
from paretune.reports.findings import SweepResults
from paretune.reports.page import volume_curve, write_page
from paretune.reports.query import Query
from paretune.reports.study import build_study_results
from paretune.search.stored_study import StoredStudy, StoredTrial, TrialEnd
from reports.tables import results_of, training, trial

pytestmark = pytest.mark.xdist_group("browser")

TRIALS = [
    trial(0, 100, 0.80),
    trial(1, 200, 0.90),
    trial(2, 250, 0.85, "squeeze"),
    trial(3, 900, 0.97, "squeeze"),
    trial(4, 50, 0.1, state="failed", error="<script>alert(1)</script> out of memory"),
    *(trial(n, 100 * n, 0.5) for n in range(5, 20)),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with open_browser() as started:
        yield started


@contextmanager
def opened(
    browser: Any, path: Path, results: SweepResults
) -> Iterator[SimpleNamespace]:
    """The page of the results in Chromium: its ``tab``, what its console said and where
    it went.
    """
    write_page(results, None, path, "http://127.0.0.1:5000/")
    said: list[str] = []
    went: list[str] = []
    tab = browser.new_page(viewport={"width": 1280, "height": 800})
    tab.on("console", lambda message: said.append(message.text))
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.on("request", lambda request: went.append(request.url))
    tab.goto(path.as_uri())
    tab.wait_for_selector("#front-plot .scatterlayer .point")
    yield SimpleNamespace(tab=tab, said=said, went=went, url=path.as_uri())
    tab.close()


@pytest.fixture
def page(browser: Any, tmp_path: Path) -> Iterator[SimpleNamespace]:
    """The page of TRIALS."""
    with opened(browser, tmp_path / "report.html", results_of(TRIALS)) as page:
        yield page


def test_a_confirmed_report_has_bars_and_three_labels_or_more(browser, tmp_path):
    trainings = [
        training(1, 0.95),
        training(2, 0.96),
        training(3, 0.97),
        training(1, 0.965, run=f"{1:032x}"),
    ]
    results = results_of(TRIALS, *trainings, query=Query(confirmed=True))
    with opened(browser, tmp_path / "report.html", results) as page:
        bars = page.tab.evaluate(
            "(({ array, arrayminus }) => [array, "
            "arrayminus])(byId('front-plot').data.at(-1).error_y)"
        )
        axis = page.tab.evaluate(
            "(({ range, ticktext }) => ({ range, ticktext "
            "}))(byId('front-plot').layout.yaxis)"
        )
    model = results.members.iloc[0]
    below, above = (
        model["test_f1"] - model["test_f1_low"],
        model["test_f1_high"] - model["test_f1"],
    )
    highest, lowest = (10**end for end in axis["range"])

    assert bars == [pytest.approx([below, 0]), pytest.approx([above, 0])]
    assert [float(tick) for tick in axis["ticktext"]] == f1_ticks(
        1 - highest, 1 - lowest
    )
    assert page.said == []


def test_the_best_stay_on_top_when_the_whole_is_shown(page):
    page.tab.evaluate("Plotly.relayout('front-plot', { 'yaxis.autorange': true })")
    errors = page.tab.evaluate("byId('front-plot')._fullLayout.yaxis.range")

    assert errors[0] > errors[1]


def rows(tab) -> list[str]:
    return tab.eval_on_selector_all(
        "#front-table tbody tr td:first-child", "cells => cells.map(c => c.textContent)"
    )


def drawn(tab) -> int:
    return tab.eval_on_selector(
        "#front-plot",
        (
            "plot => plot.data.filter(t => t.mode === 'markers').reduce((n, t) => n + "
            "t.x.length, 0)"
        ),
    )


def test_the_points_are_on_the_plot_and_the_front_in_the_table(page):
    assert drawn(page.tab) == 19 + 1  # complete trials and a published point
    assert rows(page.tab) == ["100", "200", "900"]
    assert "conv 3x3 1>4" in page.tab.inner_text("#front-table")
    assert page.said == []


def test_filters_redraw_plot_and_table(page):
    page.tab.fill("#max-params", "500")
    assert rows(page.tab) == ["100", "200"]
    page.tab.fill("#max-params", "")
    page.tab.uncheck("input[value=conv]")
    assert rows(page.tab) == ["250", "900"]
    page.tab.fill("#min-f1", "0.9")
    page.tab.uncheck("#published")
    assert (rows(page.tab), drawn(page.tab)) == (["900"], 1)
    assert page.said == []


def test_a_click_opens_the_run_and_nothing_else_leaves_the_page(page):
    page.tab.evaluate("window.open = url => { window.opened = url; }")
    page.tab.eval_on_selector(
        "#front-plot",
        (
            "plot => plot.emit('plotly_click', {points: [{customdata: "
            "plot.data.at(-1).customdata[0]}]})"
        ),
    )

    assert (
        page.tab.evaluate("window.opened")
        == f"http://127.0.0.1:5000/#/experiments/7/runs/{0:032x}"
    )
    assert page.went == [page.url]


def test_a_phone_scrolls_down_only(page):
    page.tab.set_viewport_size({"width": 390, "height": 844})
    page.tab.wait_for_timeout(300)

    assert page.tab.evaluate("document.documentElement.scrollWidth") <= 390


@given(
    st.lists(
        st.tuples(st.integers(1, 5), st.sampled_from([0.0, 0.5, 0.5, 1.0])),
        min_size=1,
        max_size=6,
    ),
    st.text(max_size=20),
)
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_front_and_any_name_make_a_page_whose_data_can_be_read(
    tmp_path, pairs, name
):
    """Ties, duplicates, F1 of 0 and 1; names that look like markup stay text."""
    trials = [trial(n, params, f1, family=name) for n, (params, f1) in enumerate(pairs)]
    write_page(
        results_of(trials, sweeps=[name, "</script><b>"]),
        None,
        tmp_path / "p.html",
        "http://x",
    )
    text = (tmp_path / "p.html").read_text()
    packed = re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1]
    data = json.loads(gzip.decompress(b64decode(packed)))

    assert [point["family"] for point in data["points"]] == [name] * len(pairs)
    assert "</script><b>" not in text


def test_a_trial_whose_run_is_about_to_be_closed_is_on_no_curve():
    curve = volume_curve(
        results_of([trial(0, 100, 0.8), trial(1, 200, 0.9, ended=nan)])
    )

    assert len(curve["hours"]) == len(curve["volume"]) == 1


def test_the_curve_begins_with_the_first_trial_and_grows_where_the_front_does():
    curve = volume_curve(
        results_of([trial(0, 100, 0.8), trial(1, 200, 0.7), trial(2, 200, 0.9)])
    )

    assert curve["gain"] == [0, 2]
    assert curve["volume"][0] == curve["volume"][1] < curve["volume"][2]
    assert curve["hours"] == pytest.approx([5 / 3600, 15 / 3600, 25 / 3600])


def test_confirmed_models_have_a_table_and_one_seed_no_interval(tmp_path):
    results = results_of(
        TRIALS, training(1, 0.7), training(2, 0.8), training(1, 0.6, "9 epochs")
    )
    write_page(results, None, tmp_path / "p.html", "http://x")
    text = (tmp_path / "p.html").read_text()

    assert "0.7500 ± 0.0707" in text
    assert "0.1147 to 1.0000" in text
    assert '<td class="number">0.6000</td><td class="number"></td>' in text


def test_an_error_that_looks_like_markup_stays_text(tmp_path):
    write_page(results_of(TRIALS), None, tmp_path / "p.html", "http://x")
    text = (tmp_path / "p.html").read_text()

    assert "<script>alert(1)" not in text
    assert "&lt;script&gt;alert(1)" in text


def make_study(*rows: tuple[float, float], directions=("minimize", "maximize")):
    trials = [
        StoredTrial(number, TrialEnd.COMPLETE, row, {"width": row[0]})
        for number, row in enumerate(rows)
    ]
    return StoredStudy("theirs", directions, ("ms", "quality"), trials)


@pytest.mark.parametrize("second", ["minimize", "maximize"])
def test_the_front_of_a_study_is_the_same_in_the_page(browser, tmp_path, second):
    rows = [(0.5, 30.0), (20.0, 3.0), (1.5, 31.0), (3.0, 9.0), (40.0, 35.0)]
    study = make_study(*rows, directions=("minimize", second))
    results = build_study_results(study)
    with opened(browser, tmp_path / "report.html", results) as page:
        trials = page.tab.locator("#front-table tbody tr td:nth-child(3)")
        shown = [int(text) for text in trials.all_inner_texts()]
        text = page.tab.inner_text("body")

    assert shown == results.members["trial"].tolist()
    assert page.said == []
    assert not re.search("F1|family|MLflow|epoch|paretune", text)


def test_the_page_of_a_study_is_filtered_by_both_objectives(browser, tmp_path):
    results = build_study_results(make_study((1.0, 5.0), (2.0, 7.0), (3.0, 9.0)))
    with opened(browser, tmp_path / "report.html", results) as page:
        page.tab.fill("#max-params", "2.5")
        page.tab.fill("#min-f1", "6")
        rows = page.tab.locator("#front-table tbody tr").all_inner_texts()

    assert [row.split()[:3] for row in rows] == [["2", "7", "1"]]
