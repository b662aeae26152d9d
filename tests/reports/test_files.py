"""Files that other programs open."""

import csv
import json
from dataclasses import replace
from math import inf, nan
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from paretune.reports.files import folder_of, write_confirmed, write_csv, write_json
from paretune.reports.findings import Query, finite, frame_of, front_of
from paretune.reports.page import volume_curve
from reports.test_page import findings_of, trial

ANY = [nan, inf, -inf, 0.0, 0.5, 0.5, 1.0]
FORMULAS = ("=", "+", "-", "@", "\t", "\r")


@given(st.text(max_size=30))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_cell_is_a_formula(tmp_path, family):
    point = replace(trial(0, 100, 0.5).point, family=family, run_id=family)
    write_csv([point], tmp_path / "front.csv")
    with (tmp_path / "front.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)

    assert not row["family"].startswith(FORMULAS)
    assert not row["run_id"].startswith(FORMULAS)
    assert row["family"].removeprefix("'") == family.removeprefix("'")


@given(st.lists(st.tuples(st.integers(1, 3), st.sampled_from(ANY)), min_size=1, max_size=8))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_front_is_json_that_any_reader_takes(tmp_path, pairs):
    """One point, ties, duplicates, NaN and infinities."""
    findings = findings_of([trial(n, params, f1) for n, (params, f1) in enumerate(pairs)])
    write_json(findings, tmp_path / "front.json")
    content = json.loads((tmp_path / "front.json").read_text(), parse_constant=lambda word: 1 / 0)

    assert [member["run_id"] for member in content["front"]] == [member.run_id for member in findings.members]


@given(st.lists(st.tuples(st.integers(1, 3), st.sampled_from(ANY)), max_size=8))
def test_the_table_marks_the_front_and_leaves_nothing_out(pairs):
    """None, one, ties, duplicates, NaN and infinities."""
    table = frame_of([trial(n, params, f1) for n, (params, f1) in enumerate(pairs)])

    assert len(table) == len(pairs)
    assert list(front_of(table, Query())["run_id"]) == list(table[table["front"]].sort_values("n_params")["run_id"])


def test_raced_and_failed_trials_are_rows_but_on_no_front():
    table = frame_of([trial(0, 100, 0.5), trial(1, 50, 0.9, state="raced"), trial(2, 10, 1.0, state="failed")])

    assert list(table["state"]) == ["complete", "raced", "failed"]
    assert list(table["front"]) == [True, False, False]
    assert str(table["started"].dt.tz) == "UTC"


@given(st.text(max_size=30))
def test_the_folder_of_any_name_is_one_below_sweeps(name):
    folder = folder_of(name)

    assert folder.parent.name == "sweeps"
    assert folder.name not in ("", ".", "..")


def test_a_trial_whose_run_is_about_to_be_closed_is_on_no_curve():
    first, second = trial(0, 100, 0.8), replace(trial(1, 200, 0.9), ended_s=nan)
    curve = volume_curve(findings_of([first, second]))

    assert len(curve["hours"]) == len(curve["volume"]) == 1


def test_a_part_of_a_front_does_not_replace_the_front():
    wanted = Query(max_params=5000, min_f1=0.97, families=("conv", "a/b"), confirmed=True)

    assert folder_of("first", Query().part) == Path("sweeps/first")
    assert str(folder_of("first", wanted.part)) == "sweeps/first/confirmed,max-params=5000,min-f1=0.97,family=conv+a_b"


def test_numbers_that_are_not_finite_are_null_at_any_depth():
    assert finite({"a": [1, nan, (inf, "x")], "b": None}) == {"a": [1, None, [None, "x"]], "b": None}


def test_no_confirmation_is_a_table_of_columns(tmp_path):
    write_confirmed([], tmp_path / "deep/confirmed.csv")

    assert (tmp_path / "deep/confirmed.csv").read_text().startswith("params,seeds,test_f1")
