"""Views of a sweep in MLflow's own UI, in a real browser."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chromium import open_browser
from paretune.commands import ui
from paretune.errors import StoreError
from paretune.tracking import Store, SweepRecorder
from paretune.tracking.sweep_views import list_links
from server import Server

LOADED_MS = 60_000
COLUMNS = ["val_f1", "n_params", "family"]
HEADINGS_FROM_LEFT = """
    [...document.querySelectorAll('[role=columnheader]')]
        .sort((a, b) => a.getBoundingClientRect().x - b.getBoundingClientRect().x)
        .map(heading => heading.innerText.trim())
"""
SCORES = {100: 0.8, 300: 0.75, 900: 0.97}


def record_sweep(store: Store, name: str = "small") -> SweepRecorder:
    """A sweep whose trials have these parameters and scores, two of them on the
    front.
    """
    recorder = SweepRecorder({"uri": store.uri, "experiment": store.experiment})
    recorder.start(name, {"command": f"paretune sweep {name}"})
    for number, (params, f1) in enumerate(SCORES.items()):
        tags = {
            "mlflow.runName": f"{name}-{number}",
            "mlflow.parentRunId": recorder.run_id,
            "kind": "trial",
            "sweep": name,
            "trial": str(number),
            "state": "complete",
            "family": "conv",
        }
        run = store.client.create_run(store.experiment_id, tags=tags).info.run_id
        store.client.log_metric(run, "n_params", params)
        store.client.log_metric(run, "val_f1", f1)
        store.client.set_terminated(run)
    recorder.finish("FINISHED", {}, ())
    return recorder


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    running = Server(tmp_path / "server")
    running.start()
    yield running
    running.stop()


@pytest.fixture
def tab() -> Iterator[Any]:
    with open_browser() as browser:
        yield browser.new_page(viewport={"width": 1600, "height": 900})


@pytest.mark.slow
@pytest.mark.xdist_group("browser")
def test_the_front_is_a_table_and_its_trials_a_chart_at_first_glance(server, tab):
    store = Store(server.uri, experiment="tests")
    record_sweep(store)
    links = list_links(store, "small", server.uri)

    tab.goto(links["small: front"])
    tab.wait_for_selector("text=small-2", timeout=LOADED_MS)
    shown = tab.inner_text("body")
    assert "2 matching runs" in shown
    assert "small-0" in shown
    assert "small-1" not in shown
    names = dict.fromkeys(tab.evaluate(HEADINGS_FROM_LEFT))
    assert [name for name in names if name in COLUMNS] == COLUMNS

    tab.goto("about:blank")
    tab.goto(links["small: trials, chart"])
    tab.wait_for_selector(".scatterlayer .point", timeout=LOADED_MS)
    shown = tab.inner_text("body")
    assert "val_f1 over n_params" in shown
    assert "3 matching runs" in shown


def test_a_sweep_says_in_its_run_what_it_is_and_where_its_views_are(store):
    recorder = record_sweep(store)
    note = store.client.get_run(recorder.run_id).data.tags["mlflow.note.content"]

    assert "paretune sweep small" in note
    assert "*small: front*, *small: trials*, *small: confirmed*" in note


def test_links_are_of_the_newest_sweep_or_of_one_by_its_name(store):
    record_sweep(store, "first")
    record_sweep(store, "second")

    assert "second: front" in list_links(store, None, "http://here")
    assert "first: front" in list_links(store, "first", "http://here")
    with pytest.raises(StoreError, match=r"sweep `third` is not in .* first, second"):
        list_links(store, "third", "http://here")


@pytest.mark.parametrize(
    ("arguments", "sweep", "address"),
    [
        ([], "second", "127.0.0.1:5000"),
        (["first", "--port", "5001"], "first", "127.0.0.1:5001"),
        (["--port=7", "--workers", "2"], "second", "127.0.0.1:7"),
    ],
)
def test_the_command_prints_the_links_before_it_is_mlflow(
    store, monkeypatch, capsys, arguments, sweep, address
):
    record_sweep(store, "first")
    record_sweep(store, "second")
    became: list[str] = []
    monkeypatch.setattr(ui.os, "execv", lambda program, words: became.extend(words))
    ui.cli([*arguments, "--uri", store.uri])
    printed = capsys.readouterr().out

    assert f"{sweep}: front" in printed
    assert f"http://{address}/#/experiments/" in printed
    assert became[:4][1:] == ["-m", "mlflow", "ui"]
    assert "first" not in became
