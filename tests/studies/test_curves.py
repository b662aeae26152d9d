"""Recording trainings: what is drawn, the file, and a real recording that is killed."""

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from studies.curves import EPOCHS
from studies.curves.draws import (
    GENERATION,
    UNKNOWN,
    Draw,
    count_known,
    draw,
    find_near_front,
)
from studies.curves.question import MOST_PARAMS, Question
from studies.curves.rows import Epoch, Row, RowFile
from studies.curves.training import record

# What is made once for all is made by one worker.
pytestmark = pytest.mark.xdist_group("curves")

ROOT = Path(__file__).parents[2]
KINDS = ("draw", "mutation", "repeat")


@pytest.fixture(scope="module")
def question() -> Question:
    return Question("digits")


def make_row(number: int, question: Question, drawn: Draw, f1: float) -> Row:
    return Row(
        number=number,
        kind=drawn.kind,
        parent=drawn.parent,
        seed=drawn.seed,
        settings=question.write_settings(drawn.params),
        costs=question.measure(drawn.params),
        epochs=[Epoch(f1, 0.1)] * EPOCHS,
    )


@pytest.fixture(scope="module")
def rows(question: Question) -> dict[int, Row]:
    """A first generation, with scores that grow and fall."""
    found: dict[int, Row] = {}
    for number in range(GENERATION):
        drawn = draw(number, question, found)
        f1 = 0.5 + (number * 7 % 20) / 50
        found[number] = make_row(number, question, drawn, f1)
    return found


def test_a_draw_follows_from_its_number_and_the_rows(question, rows):
    number = GENERATION + 3
    drawn = draw(number, question, rows)

    # What it does not have to know changes nothing.
    fewer = {index: rows[index] for index in range(count_known(number))}
    assert draw(number, question, fewer) == drawn
    assert draw(number + 1, question, rows).params != drawn.params


def test_a_draw_does_not_depend_on_what_was_drawn_before(question):
    """Nor on the process, then: what a space has learnt of its costs changes draws."""
    numbers = range(4)
    there = [draw(number, question, {}) for number in numbers]
    back = [draw(number, question, {}) for number in reversed(numbers)]
    assert there == back[::-1]


def test_draws_fit_and_are_spread(question, rows):
    sizes = [row.costs["params"] for row in rows.values()]

    assert max(sizes) <= MOST_PARAMS
    assert min(sizes) < 500
    assert max(sizes) > 5_000
    assert len({str(row.settings) for row in rows.values()}) == GENERATION


def test_later_generations_mutate_and_repeat_what_is_near_the_front(question, rows):
    drawn = [draw(GENERATION + number, question, rows) for number in range(40)]
    by_kind = {kind: [one for one in drawn if one.kind == kind] for kind in KINDS}
    known = {number: rows[number] for number in range(GENERATION - UNKNOWN)}
    near = {
        row.number
        for cost in ("params", "macs")
        for row in find_near_front(list(known.values()), cost)
    }

    assert len(by_kind["draw"]) > len(by_kind["repeat"]) > 0
    assert {one.parent for one in by_kind["mutation"]} <= near
    for one in by_kind["repeat"]:
        assert question.write_settings(one.params) == rows[one.parent].settings
        assert one.seed != rows[one.parent].seed
    for one in by_kind["mutation"]:
        assert question.write_settings(one.params) != rows[one.parent].settings


def test_nothing_is_drawn_twice_but_repeats(question, rows):
    drawn = [draw(GENERATION + number, question, rows) for number in range(40)]
    before = [str(row.settings) for row in rows.values()][: GENERATION - UNKNOWN]
    new = [
        str(question.write_settings(one.params))
        for one in drawn
        if one.kind != "repeat"
    ]
    assert not set(new) & set(before)


def test_settings_are_a_configuration_again(question, rows):
    for row in rows.values():
        params = question.read_settings(row.settings)
        assert question.write_settings(params) == row.settings
        assert question.feasible.cost(params) == row.costs["params"]


epochs = st.lists(
    st.builds(
        Epoch,
        st.integers(0, 10_000).map(lambda steps: steps / 10_000),
        st.integers(0, 10**7).map(lambda ms: ms / 1_000),
    ),
    max_size=4,
)
some_rows = st.builds(
    Row,
    number=st.integers(0, 999),
    kind=st.sampled_from(KINDS),
    parent=st.none() | st.integers(0, 999),
    seed=st.integers(0, 2**31),
    settings=st.dictionaries(
        st.sampled_from(["model.norm", "optimizer.lr", "augment"]),
        st.none() | st.booleans() | st.floats(0, 1) | st.text("ab,\"'[]", max_size=4),
    ),
    costs=st.fixed_dictionaries({"params": st.integers(1, 16_000)}),
    epochs=epochs,
    starts=st.lists(epochs.filter(bool), max_size=2),
    cpu_s=st.integers(0, 10**6).map(lambda ms: ms / 1_000),
    failed=st.text('ab, "', max_size=5),
)


@given(st.lists(some_rows, max_size=4, unique_by=lambda row: row.number))
def test_rows_are_read_as_they_were_written(tmp_path_factory, found):
    file = RowFile(tmp_path_factory.mktemp("rows") / "mnist.csv")
    for row in found:
        file.append(row)
    assert list(file.read().values()) == sorted(found, key=lambda row: row.number)


@given(some_rows, some_rows, st.data())
def test_half_a_line_costs_that_line_only(tmp_path_factory, first, second, data):
    file = RowFile(tmp_path_factory.mktemp("rows") / "mnist.csv")
    file.append(first)
    whole = file.path.read_bytes()
    file.append(second)
    written = file.path.read_bytes()
    end = data.draw(st.integers(len(whole), len(written) - 1))
    file.path.write_bytes(written[:end])

    assert file.read() == {first.number: first}
    file.append(second)
    assert file.path.read_bytes() == written


def test_a_thousand_rows_take_two_megabytes(question, rows, tmp_path):
    file = RowFile(tmp_path / "digits.csv")
    for row in rows.values():
        file.append(row)
    assert file.path.stat().st_size / GENERATION < 2_000


def test_a_training_that_cannot_be_built_is_a_row(question, monkeypatch):
    drawn = draw(0, question, {})
    monkeypatch.setattr("studies.curves.training.EPOCHS", 0)
    monkeypatch.setattr(
        "studies.curves.training.fit", lambda *_, **__: 1 / 0, raising=True
    )
    row = record(drawn, question, lambda: None)
    assert row.failed == "ZeroDivisionError: division by zero"
    assert not row.is_whole


def start(folder: Path, *options: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "studies", "curves", "--data", "digits"]
    return subprocess.Popen(
        [*command, "--folder", str(folder), *options],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def read_lines(folder: Path) -> list[dict[str, str]]:
    path = folder / "digits.csv"
    if not path.exists():
        return []
    with path.open() as stream:
        return list(csv.DictReader(stream))


@pytest.mark.slow
def test_a_recording_goes_on_after_a_kill(tmp_path):
    """Two processes at once, killed in the middle, and started again."""
    first = start(tmp_path, "--trainings", "3", "--jobs", "2")
    while not read_lines(tmp_path):
        assert first.poll() is None, first.communicate()[0]
        time.sleep(0.1)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    first.stdout.close()
    before = (tmp_path / "digits.csv").read_text().rpartition("\n")[0]

    output, _ = start(tmp_path, "--trainings", "3").communicate(timeout=900)

    assert "3 of 3 trainings" in output
    assert (tmp_path / "digits.csv").read_text().startswith(before)
    lines = read_lines(tmp_path)
    assert sorted(int(line["id"]) for line in lines) == list(range(3))
    for line in lines:
        assert not line["failed"]
        assert len(line["f1"].split()) == EPOCHS
        assert len(line["epoch_ms"].split()) == EPOCHS
        assert sum(map(int, line["epoch_ms"].split())) <= int(line["cpu_ms"])


@pytest.mark.slow
def test_a_recording_ends_in_time(tmp_path):
    output, _ = start(tmp_path, "--trainings", "9999", "--hours", "0.005").communicate(
        timeout=900
    )
    assert "the time is up" in output


def test_a_row_of_another_space_is_no_parent(question, rows):
    row = rows[0]
    assert question.holds(row.settings)
    assert not question.holds({**row.settings, "model.more": 1})
    assert not question.holds({"model": row.settings["model"]})
    assert not question.holds({**row.settings, "optimizer.lr": 1e9})
