"""A cost stands in one place: all that is said and done of it follows from its entry in
:data:`paretune.costs.COSTS`.
"""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from paretune.costs import COSTS, Footprint, cost_of_metric, units, volume_end_of
from paretune.layers.counts import COUNTS
from paretune.reports.query import Query
from paretune.schema import SECTIONS, list_settings
from paretune.settings import RULES, SETTINGS
from paretune.tracking.read import read_trials
from paretune.tracking.runs import find_run
from paretune.tracking.store import Store


def test_every_cost_is_counted():
    assert COUNTS.keys() == COSTS.keys()


def test_every_cost_can_be_capped_and_weighed():
    settings = [setting.name for setting in list_settings(SECTIONS["cap"], "cap")]

    assert settings[: len(COSTS)] == [f"cap.{cost.bound}" for cost in COSTS.values()]
    assert RULES["cost"].choices == tuple(COSTS)
    assert "cost" in SETTINGS


def test_the_sweeper_has_the_bounds_and_the_words_of_every_cost(composed):
    cap = composed(hydra=True).hydra.sweeper.cap

    assert cap.max == dict.fromkeys(COSTS)
    assert cap.units == units()


def test_a_query_names_every_cost_as_the_options_do():
    query = Query(dict.fromkeys(COSTS, 9))

    assert query.part == "max-params=9,max-macs=9,max-ram-bytes=9,max-flash-bytes=9"


def test_a_cost_is_found_by_the_name_that_stores_have():
    assert cost_of_metric("n_params").name == "params"
    with pytest.raises(KeyError):
        cost_of_metric("val_f1")


def test_the_volume_of_a_foreign_cost_ends_where_that_of_parameters_does():
    assert volume_end_of("joules") == volume_end_of("params") < volume_end_of("macs")


def test_of_several_numbers_the_largest_is_the_cost():
    footprint = Footprint.of({"params": 3, "ram_bytes": [4, 9, 2]})

    assert footprint.costs == {"params": 3, "ram_bytes": 9}
    assert footprint.values == {"ram_bytes": [4, 9, 2]}


# What a person adds for a new cost: its entry, and how it is counted.
ANOTHER = """
import sys

from paretune.costs import COSTS, Cost

COSTS["depth"] = Cost(
    name="depth",
    unit="layers one after another",
    heading="depth",
    column="depth of the network",
    help="layers that an image goes through",
    metric="depth",
)
from paretune.layers import counts

counts.COUNTS["depth"] = lambda network: len(network.line)
sys.argv[0] = "paretune"
from paretune.__main__ import main

main()
"""


@pytest.fixture
def paretune(tmp_path, monkeypatch):
    """The command line of a Paretune that has another cost."""
    monkeypatch.chdir(tmp_path)
    command = tmp_path / "another.py"
    command.write_text(ANOTHER)

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, str(command), *arguments],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PARETUNE_STORE": str(tmp_path / "store")},
        )

    return run


@pytest.mark.slow
def test_an_entry_and_a_count_are_all_that_a_new_cost_takes(paretune, tmp_path):
    refused = paretune("train", "data=digits", "model=dense", "cap.max_depth=1")
    swept = paretune(
        *("train", "-m", "name=deep", "data=digits", "model=dense", "cost=depth"),
        *("cap.max_depth=9", "trainer.max_epochs=1", "hydra.sweeper.n_trials=2"),
        *("model.depth=2", "model.views=1", "model.image_pool=1"),
    )
    asked = paretune("pareto", "deep", "--max-depth", "9", "--cost", "depth")

    assert refused.returncode == 2
    assert "layers one after another" in refused.stderr
    assert "raise cap.max_depth" in refused.stderr
    assert swept.returncode == asked.returncode == 0, swept.stderr + asked.stderr
    assert "Best with at most 9 layers one after another" in asked.stdout
    (folder,) = Path("sweeps/deep").glob("*")
    with (folder / "front.csv").open() as file:
        rows = list(csv.DictReader(file))
    point = json.loads((folder / "front.json").read_text())["front"][0]
    assert int(rows[0]["depth"]) == point["depth"] == 5
    assert "depth of the network" in (folder / "report.html").read_text()
    store = Store(f"sqlite:///{tmp_path}/store/mlflow.db")
    run = find_run(store, point["run_id"])
    assert run.data.metrics["depth"] == 5
    assert len(read_trials(store, "deep")) == 2
