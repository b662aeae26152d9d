"""From data to confirmed models by one command."""

import csv
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hydra.core.global_hydra import GlobalHydra

from log_files import closing_log_files
from paretune.commands import auto
from paretune.commands.auto_request import read_request
from paretune.errors import ConfigError
from paretune.tracking import Store, read_confirmations, read_retrainings, read_trials
from paretune.tracking.schema import RunKind
from small_sweep import PARETUNE

pytestmark = pytest.mark.xdist_group("auto")  # one process runs it once for all

SMALL = (
    "data=digits",
    "data.splitting.train_size=300",
    "model=conv",
    "cap.max_params=2000",
    "trainer.max_epochs=2",
    "trainer.autotune=false",
    "seeds=2",
    "name=small",
)
QUICK = (*SMALL, "hours=2", "hydra.sweeper.n_trials=4", "hydra.sweeper.n_jobs=1")
REPORT = {"front.csv", "front.json", "front.png", "front.svg", "report.html"}


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """The working folder of the command."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def read_confirmed(folder: Path) -> list[dict[str, str]]:
    with (folder / "sweeps/small/confirmed.csv").open() as file:
        return list(csv.DictReader(file))


def list_files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.is_file()}


@pytest.fixture(scope="module")
def kept(tmp_path_factory, migrated) -> Path:
    """A working folder in which the command has run once, made once."""
    folder = tmp_path_factory.mktemp("auto")
    migrated(folder / "store/mlflow.db")
    with pytest.MonkeyPatch.context() as patch, closing_log_files():
        patch.chdir(folder)
        patch.setenv("PARETUNE_STORE", str(folder / "store"))
        patch.setattr(sys, "argv", ["paretune", *QUICK])
        auto.cli()
    GlobalHydra.instance().clear()
    return folder


@pytest.fixture
def done(kept, tmp_path, monkeypatch) -> Path:
    """A copy of that folder, in which this process works; the store is in it."""
    shutil.copytree(kept, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def open_store(folder: Path) -> Store:
    return Store(f"sqlite:///{folder}/store/mlflow.db")


def test_one_command_leads_from_data_to_confirmed_models(done):
    written = done / "sweeps/small"
    confirmed = read_confirmed(done)

    assert len(read_trials(open_store(done), "small")) == 4
    assert {row["seeds"] for row in confirmed} == {"2"}
    assert REPORT | {"confirmed.csv", "auto.json"} <= list_files(written)
    for row in confirmed:
        names = {f"{row['params']}{suffix}" for suffix in (".onnx", ".md", ".yaml")}
        assert names <= list_files(written / "models")
        program = list_files(written / f"models/{row['params']}_c")
        assert {f"model_{row['params']}.c", "Makefile"} <= program


def test_the_test_set_is_read_by_the_confirmations_alone(done):
    store = open_store(done)
    finished = read_retrainings(store, ["small"], RunKind.FINISH)
    confirmed = read_confirmations(store, "small")

    assert len(finished) > 0
    assert finished["test_f1"].isna().all()
    assert not confirmed["test_f1"].isna().any()
    assert not set(confirmed["seed"]) & set(finished["seed"])


def test_the_same_command_has_nothing_left_to_do(done, answered):
    before = read_confirmed(done)
    plan = json.loads((done / "sweeps/small/auto.json").read_text())["plan"]
    answer = answered(auto.cli, *QUICK)

    assert answer.code == 0, answer.err
    assert "digits has 10 classes; images: 300 train, 360 validate" in answer.out
    assert "to go\n" not in answer.out
    assert read_confirmed(done) == before
    assert json.loads((done / "sweeps/small/auto.json").read_text())["plan"] == plan


def test_time_that_is_left_goes_to_further_seeds(done, answered):
    path = done / "sweeps/small/auto.json"
    record = json.loads(path.read_text())
    record["question"]["seeds"] = 3
    record["plan"]["seeds"] = 1
    path.write_text(json.dumps(record))
    answer = answered(
        auto.cli, *[line for line in QUICK if "seeds" not in line], "seeds=3"
    )

    assert answer.code == 0, answer.err
    assert {row["seeds"] for row in read_confirmed(done)} == {"3"}


@pytest.mark.slow
def test_killed_at_any_moment_the_same_command_comes_to_the_same_answer(
    folder, monkeypatch
):
    monkeypatch.setenv("PARETUNE_STORE", str(folder / "store"))
    command = [*PARETUNE, "auto", *SMALL, "hours=0.03", "hydra.sweeper.n_trials=6"]
    rng = np.random.default_rng(0)
    for _ in range(5):
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        time.sleep(rng.uniform(4, 20))
        process.send_signal(signal.SIGKILL)
        process.wait()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    trials = read_trials(open_store(folder), "small")

    assert done.returncode == 0, done.stderr
    assert sorted(trials["trial"]) == [0, 1, 2, 3, 4, 5]
    assert set(trials["state"]) <= {"complete", "raced"}
    for row in read_confirmed(folder):
        models = folder / "sweeps/small/models"
        assert (models / f"{row['params']}.onnx").exists()


@pytest.mark.slow
def test_ctrl_c_stops_it_and_the_same_command_goes_on(folder, monkeypatch):
    monkeypatch.setenv("PARETUNE_STORE", str(folder / "store"))
    command = [*PARETUNE, "auto", *QUICK]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout
        for line in process.stdout:
            if "trial 1: " in line:
                break
        process.send_signal(signal.SIGINT)
        output = process.stdout.read()

    assert process.returncode == 130
    assert "the same command goes on" in output
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "paretune auto: done" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "hours is missing; set hours"),
        (("hours=0",), "hours `0` is invalid; expected above 0"),
        (("hours=2", "seeds=0"), "seeds `0` is invalid"),
        (("hours=2", "train_on=all"), "train_on `all` is"),
        (("hours=2", "tracking.uri=null"), "tracking.uri `null` keeps no trainings"),
        (("hours=2", "data=digitz"), "data `digitz` is unknown"),
        (("hours=2", "--epochs=3"), "option `--epochs` is unknown"),
        (("hours=2", "modle=conv"), "setting `modle` is unknown"),
    ],
)
def test_a_request_that_cannot_work_is_a_line(folder, answered, arguments, message):
    answer = answered(auto.cli, "data=digits", *arguments)

    assert answer.code == 2
    assert message in answer.err
    assert answer.err.startswith("paretune auto: ")
    assert answer.err.count("\n") == 1


def test_data_that_cannot_be_trained_on_stop_it_before_anything_runs(folder, answered):
    answer = answered(auto.cli, "data=folder", "data.path=pictures", "hours=1")

    assert answer.code == 2
    assert "data.path `pictures` is not there" in answer.err


def test_the_name_is_that_of_the_search_whatever_its_hours(folder):
    names = {
        read_request(["data=digits", "cap.max_params=900", f"hours={hours}"]).name
        for hours in (1, 2)
    }
    other = read_request(["data=digits", "cap.max_params=901", "hours=1"]).name

    assert len(names) == 1
    assert other not in names
    assert other.startswith("auto-digits-")


def test_a_cap_is_set_where_a_person_sets_none(folder):
    assert "cap.max_params=16000" in read_request(["hours=1", "data=digits"]).overrides
    capped = read_request(["hours=1", "data=digits", "cap.max_macs=1000"])
    assert "cap.max_params=16000" not in capped.overrides


def test_later_stages_run_where_the_search_does(folder):
    places = ["hydra/launcher=submitit_local", "storage=sqlite:///x.db"]
    request = read_request(["hours=1", "data=digits", "seed=3", *places])

    assert request.places == places


def test_a_front_over_another_cost_takes_no_least_size(folder):
    with pytest.raises(ConfigError, match=r"cap\.min_params `9` has no effect"):
        read_request(["hours=1", "data=digits", "cost=macs", "cap.min_params=9"])


def test_the_config_is_shown_as_that_of_a_training(folder, answered):
    answer = answered(auto.cli, "--cfg", "job", "hours=3", "data=digits")

    assert answer.code == 0, answer.err
    assert "hours: 3\n" in answer.out
