"""Files that other programs open."""

import csv
import json
from math import inf, nan
from pathlib import Path

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from paretune.reports.files import folder_of, write_confirmed, write_csv, write_json
from paretune.reports.query import Query
from reports.tables import confirmed_of, results_of, training, trial

ANY = [nan, inf, -inf, 0.0, 0.5, 0.5, 1.0]
FORMULAS = ("=", "+", "-", "@", "\t", "\r")


@given(st.text(max_size=30))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_cell_is_a_formula(tmp_path, family):
    results = results_of([trial(0, 100, 0.5, family=family, run_id=family)])
    write_csv(results, tmp_path / "front.csv")
    with (tmp_path / "front.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)

    assert not row["family"].startswith(FORMULAS)
    assert not row["run_id"].startswith(FORMULAS)
    assert row["family"].removeprefix("'") == family.removeprefix("'")


def test_a_member_is_trained_again_by_its_overrides(tmp_path):
    searched = {
        "model": "separable",
        "model.pool_after": "[1,2]",
        "optimizer.lr": "0.01",
    }
    write_csv(
        results_of([trial(0, 100, 0.5, searched=searched)]), tmp_path / "front.csv"
    )
    with (tmp_path / "front.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)

    assert (
        row["overrides"] == "model=separable model.pool_after=[1,2] optimizer.lr=0.01"
    )


@given(
    st.lists(st.tuples(st.integers(1, 3), st.sampled_from(ANY)), min_size=1, max_size=8)
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_front_is_json_that_any_reader_takes(tmp_path, pairs):
    """One point, ties, duplicates, NaN and infinities."""
    results = results_of([trial(n, params, f1) for n, (params, f1) in enumerate(pairs)])
    write_json(results, tmp_path / "front.json")
    content = json.loads(
        (tmp_path / "front.json").read_text(), parse_constant=lambda word: 1 / 0
    )

    assert [member["run_id"] for member in content["front"]] == list(
        results.members["run_id"]
    )


@given(st.text(max_size=30))
def test_the_folder_of_any_name_is_one_below_sweeps(name):
    folder = folder_of(name)

    assert folder.parent.name == "sweeps"
    assert folder.name not in ("", ".", "..")
    assert len(folder.name.encode()) < 255


@given(
    st.lists(
        st.text("ab/_. é", max_size=4) | st.text(), min_size=2, max_size=20, unique=True
    )
)
@example(["a b", "a_b", "a/b", ".a", "a.", "", "_"])
def test_no_two_names_share_a_folder(names):
    assert len({folder_of(name) for name in names}) == len(names)
    assert len({folder_of("sweep", name) for name in names}) == len(names)


def test_a_part_of_a_front_does_not_replace_the_front():
    wanted = Query(
        {"params": 5000}, min_f1=0.97, families=("conv", "a/b"), confirmed=True
    )

    assert folder_of("first", Query().part) == Path("sweeps/first")
    assert (
        str(folder_of("first", wanted.part))[:-12]
        == "sweeps/first/confirmed,max-params=5000,min-f1=0.97,family=conv+a_b-"
    )


def test_no_confirmation_is_a_table_of_columns(tmp_path):
    write_confirmed(confirmed_of([]), tmp_path / "deep/confirmed.csv")

    assert (
        (tmp_path / "deep/confirmed.csv")
        .read_text()
        .startswith("params,macs,ram_bytes,flash_bytes,seeds,test_f1")
    )


def test_confirmed_scores_are_rounded_and_one_seed_leaves_its_interval_empty(tmp_path):
    rows = confirmed_of(
        [trial(0, 100, 0.8)],
        training(1, 0.75),
        training(2, 0.75),
        training(1, 0.6, "9 epochs"),
    )
    write_confirmed(rows, tmp_path / "confirmed.csv")
    with (tmp_path / "confirmed.csv").open(newline="") as file:
        several, one = csv.DictReader(file)

    assert (several["params"], several["seeds"], several["test_f1_low"]) == (
        "100",
        "2",
        "0.750000",
    )
    assert (several["search_val_f1"], several["optimism"]) == ("0.800000", "0.050000")
    assert (several["test_f1_of_seeds"], several["seconds_a_seed"]) == (
        "0.750000 0.750000",
        "15",
    )
    assert (one["how"], one["test_f1_sd"], one["test_f1_low"]) == (
        "9 epochs",
        "0.000000",
        "",
    )


def test_the_csv_holds_what_the_members_hold(tmp_path):
    row = trial(
        0,
        1234,
        0.98765,
        "squeeze",
        config={"model": {"widths": [8, 12], "kernel_size": 3, "norm": "batch"}},
    )
    write_csv(results_of([row]), tmp_path / "front.csv")
    with (tmp_path / "front.csv").open() as file:
        (written,) = csv.DictReader(file)

    assert (int(written["params"]), float(written["val_f1"]), written["family"]) == (
        1234,
        0.98765,
        "squeeze",
    )
    assert (written["layers"], written["best_epoch"], written["run_id"]) == (
        "8-12 k3 batch",
        "3",
        row["run_id"],
    )
