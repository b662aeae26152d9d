"""What is kept of an automatic search beside its store."""

import time

import pytest

from paretune.auto import record as record_module
from paretune.auto.finish_plan import FinishPlan
from paretune.auto.lengths import SearchLength
from paretune.auto.record import PlanQuestion, Record
from paretune.errors import StoreError


@pytest.fixture
def file(tmp_path):
    return tmp_path / "sweeps" / "mine" / "auto.json"


def test_a_record_is_new_where_there_is_none(file):
    record = Record.read(file)

    assert (record.length, record.plan, record.total_s) == (None, None, 0.0)
    assert not file.exists()


def test_what_was_decided_is_read_again(file):
    record = Record(
        file,
        SearchLength(27, 3),
        question=PlanQuestion(40, 5, 2.0, "params"),
        plan=FinishPlan(("a", "b"), ("a",), 81, 5),
        seconds={"search": 12.5, "finish": 2.0},
    )
    record.write()

    assert Record.read(file) == record
    assert record.total_s == 14.5


def test_the_seconds_of_a_stage_add_up_over_commands(file):
    for _ in range(2):
        record = Record.read(file)
        with record.timing("search"):
            time.sleep(0.05)

    assert 0.1 <= Record.read(file).seconds["search"] < 5


def test_a_command_that_is_killed_leaves_its_seconds(file, monkeypatch):
    monkeypatch.setattr(record_module, "WRITTEN_EVERY_S", 0.02)
    record = Record(file)
    with record.timing("search"):
        time.sleep(0.3)
        written_s = Record.read(file).seconds["search"]

    assert written_s > 0.05


def test_seconds_count_when_a_stage_breaks_off(file):
    record = Record(file)
    with pytest.raises(KeyboardInterrupt), record.timing("finish"):
        raise KeyboardInterrupt

    assert "finish" in Record.read(file).seconds


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"length": 3}', '{"seconds": {"search": "x"}}']
)
def test_a_damaged_record_is_named(file, text):
    file.parent.mkdir(parents=True)
    file.write_text(text)

    with pytest.raises(StoreError, match=r"auto\.json` cannot be read .*; delete it"):
        Record.read(file)
