"""Trials that were recorded, read back."""

from dataclasses import replace

import pytest
import recording
from recording import POINT, run_trial, start_sweep

from paretune.errors import StoreError
from paretune.tracking import (
    RunRecorder,
    read_points,
    read_trials,
)
from paretune.tracking.runs import (
    find_trials,
)


def test_a_trial_comes_back_as_the_point_that_went_in(store, tmp_path):
    start_sweep(store)
    run_id = run_trial(store, tmp_path)

    assert read_points(store, "small") == [replace(POINT, run_id=run_id)]


def test_a_config_longer_than_a_tag_comes_back_whole(store, tmp_path, monkeypatch):
    """Data of hundreds of classes has as many names in its config. Cuts fall on blanks,
    too.
    """
    names = [" " * (i % 7) + f"class {i}" for i in range(3000)]
    monkeypatch.setattr(
        recording,
        "POINT",
        replace(POINT, config={"seed": 4, "data": {"names": names}}),
    )
    start_sweep(store)
    run_trial(store, tmp_path)

    assert [point.config for point in read_points(store, "small")] == [
        {"seed": 4, "data": {"names": names}}
    ]


def test_what_was_added_to_the_config_is_searched_with_its_plus(store):
    start_sweep(store)
    tags = {"kind": "trial", "sweep": "small", "trial": "0"}
    with RunRecorder(
        store,
        "small-0",
        tags=tags,
        searched={"+optimizer.amsgrad": "true", "seed": "1"},
    ):
        pass
    (row,) = read_trials(store, "small").to_dict("records")

    assert row["searched"] == {"+optimizer.amsgrad": "true", "seed": "1"}
    assert row["param.optimizer.amsgrad"] == "true"


def test_a_sweep_that_is_not_there_is_named_with_the_nearest(store):
    start_sweep(store, "under_10k")

    with pytest.raises(
        StoreError,
        match=(
            r"sweep `under10k` is not in the tracking store .*; did you mean "
            r"`under_10k`\?"
        ),
    ):
        read_points(store, "under10k")


def test_a_sweep_name_with_quotes_and_slashes_is_found(store, tmp_path):
    start_sweep(store, "it's/one of ünser")
    run_trial(store, tmp_path, sweep="it's/one of ünser")

    assert len(read_points(store, "it's/one of ünser")) == 1


def test_a_deleted_run_is_not_read(store, tmp_path):
    start_sweep(store)
    store.client.delete_run(run_trial(store, tmp_path, 0))
    run_trial(store, tmp_path, 1)

    assert [run.data.tags["trial"] for run in find_trials(store, "small")] == ["1"]
