"""A study and a tracking store of which one was emptied, restored or replaced; runs
that were deleted in MLflow's UI.
"""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import optuna
import pytest

from paretune import paths
from paretune.commands.pareto import cli as pareto
from paretune.pareto import trials
from paretune.tracking import Store
from paretune.tracking.runs import find_runs, find_sweeps, find_trials
from paretune.tracking.schema import Tag
from small_sweep import SMALL_SWEEP, n_trials, run_sweep

# One process makes the sweep for all.
pytestmark = pytest.mark.xdist_group("out_of_step")

SWEEP = (*SMALL_SWEEP, "data.splitting.train_size=100", "model=conv")


@pytest.fixture(scope="session")
def kept(tmp_path_factory, migrated) -> Path:
    """A store after one and after three trials of a sweep, made once."""
    folder = tmp_path_factory.mktemp("out_of_step")
    migrated(folder / "store/mlflow.db")
    for number in (1, 3):
        run_sweep(folder / "store", *SWEEP, n_trials(number))
        for name in ("mlflow.db", "optuna.db"):
            back_up(folder / "store" / name, folder / f"{name}.{number}")
    return folder


def back_up(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with (
        closing(sqlite3.connect(source)) as before,
        closing(sqlite3.connect(target)) as after,
    ):
        before.backup(after)


@pytest.fixture
def store(kept, command) -> Path:
    """A copy of that store after three trials."""
    paths.store().joinpath("mlflow.db").unlink()
    shutil.copytree(kept / "store/artifacts", paths.store() / "artifacts")
    for name in ("mlflow.db", "optuna.db"):
        shutil.copy(kept / f"{name}.3", paths.store() / name)
    return paths.store()


def empty(file: Path, kept: Path) -> None:
    file.write_bytes(b"")


def delete(file: Path, kept: Path) -> None:
    file.unlink()


def restore(file: Path, kept: Path) -> None:
    shutil.copy(kept / f"{file.name}.1", file)


def delete_study(file: Path, kept: Path) -> None:
    optuna.delete_study(study_name="small", storage=f"sqlite:///{file}")


@pytest.mark.parametrize(
    ("name", "lose", "differs"),
    [
        (
            "optuna.db",
            empty,
            (
                "has 0 trials, tracking store .* has runs of 3 trials (3 of them, "
                "trial 0 to 2, the study"
            ),
        ),
        ("optuna.db", delete, "has 0 trials, tracking store .* has runs of 3 trials"),
        (
            "optuna.db",
            delete_study,
            "has 0 trials, tracking store .* has runs of 3 trials",
        ),
        (
            "optuna.db",
            restore,
            (
                "has 1 trial, tracking store .* has runs of 3 trials (2 of them, "
                "trial 1 to 2, the study"
            ),
        ),
        (
            "mlflow.db",
            empty,
            (
                "has 3 complete trials, and 3 of them (trial 0 to 2) have no run in "
                "tracking store"
            ),
        ),
        (
            "mlflow.db",
            delete,
            (
                "has 3 complete trials, and 3 of them (trial 0 to 2) have no run in "
                "tracking store"
            ),
        ),
        (
            "mlflow.db",
            restore,
            (
                "has 3 complete trials, and 2 of them (trial 1 to 2) have no run in "
                "tracking store"
            ),
        ),
    ],
)
def test_a_side_that_was_lost_is_refused_with_what_differs_and_two_ways_out(
    store, kept, command, name, lose, differs
):
    lose(store / name, kept)
    other = {"optuna.db": "mlflow.db", "mlflow.db": "optuna.db"}[name]
    before = dump(store / other)
    answer = command(*SWEEP, n_trials(4))
    expected = differs.replace("(", r"\(").replace(")", r"\)")

    assert answer.code == 2
    assert_matches(
        rf"sweep `small` is out of step: .*{expected}.* put back the one that .*, or start anew .*name=",
        answer.err,
    )
    assert len(answer.err.strip().splitlines()) == 1
    assert dump(store / other) == before


def test_a_sweep_that_was_refused_starts_anew_under_another_name(store, kept, command):
    empty(store / "optuna.db", kept)

    assert command(*SWEEP, n_trials(1), "name=anew").code == 0


def assert_matches(pattern: str, text: str) -> None:
    with pytest.raises(RuntimeError, match=pattern):
        raise RuntimeError(text)


def dump(file: Path) -> list[str]:
    """All that a database holds."""
    with closing(sqlite3.connect(file)) as connection:
        return list(connection.iterdump())


def test_another_study_of_the_same_name_and_length_is_told_by_its_id(
    store, kept, command
):
    with closing(sqlite3.connect(store / "optuna.db")) as connection, connection:
        connection.execute(
            "UPDATE study_system_attributes SET value_json = '\"another\"' WHERE key "
            "= 'paretune:id'"
        )
    answer = command(*SWEEP, n_trials(4))

    assert answer.code == 2
    assert "this one is another" in answer.err


def test_both_sides_restored_from_one_backup_go_on(store, kept, command):
    for name in ("mlflow.db", "optuna.db"):
        restore(store / name, kept)
    answer = command(*SWEEP, n_trials(2))

    assert answer.code == 0, answer.err
    assert len(trials("small")) == 2


@pytest.mark.parametrize("deleted", [0, 2])
def test_a_run_that_was_deleted_in_the_ui_is_no_reason_to_stop(store, command, deleted):
    opened = Store(paths.tracking_uri(store))
    opened.client.delete_run(find_trials(opened, "small")[deleted].info.run_id)
    answer = command(*SWEEP, n_trials(4))

    assert answer.code == 0, answer.err
    assert len(trials("small")) == 3


def purge(store: Path, trial: int) -> None:
    """As ``mlflow gc`` does."""
    opened = Store(paths.tracking_uri(store))
    run = find_runs(opened, {Tag.KIND: "trial", Tag.TRIAL: str(trial)})[0].info.run_id
    opened.client.delete_run(run)
    with closing(sqlite3.connect(store / "mlflow.db")) as connection, connection:
        for table in ("tags", "params", "metrics", "latest_metrics", "runs"):
            connection.execute(f"DELETE FROM {table} WHERE run_uuid = ?", [run])


def test_a_run_that_was_purged_is_told_and_the_sweep_goes_on(store, command):
    purge(store, 1)
    answer = command(*SWEEP, n_trials(4))

    assert answer.code == 0, answer.err
    assert "1 of 3 complete trials have no run in" in answer.out
    assert list(trials("small")["trial"]) == [0, 2, 3]


@pytest.fixture
def without_parent(store) -> Store:
    opened = Store(paths.tracking_uri(store))
    opened.client.delete_run(find_sweeps(opened)[0].info.run_id)
    return opened


def test_a_sweep_whose_parent_run_was_deleted_is_read_and_says_so(
    without_parent, answered, caplog, monkeypatch
):
    monkeypatch.chdir(paths.store().parent)  # where the report goes
    answer = answered(pareto, "small")

    assert answer.code == 0, answer.err
    assert (
        "the parent run of sweep small was deleted; the sweep's own command "
        "brings it back"
    ) in caplog.messages
    assert "of 3 complete trials" in answer.out


def test_a_sweep_that_goes_on_brings_its_deleted_parent_back(without_parent, command):
    answer = command(*SWEEP, n_trials(3))

    assert answer.code == 0, answer.err
    assert [run.data.tags["sweep"] for run in find_sweeps(without_parent)] == ["small"]


def test_a_deleted_experiment_is_named_with_the_command_that_brings_it_back(
    store, command, answered, monkeypatch
):
    opened = Store(paths.tracking_uri(store))
    opened.client.delete_experiment(opened.experiment_id)
    read, written = answered(pareto, "small"), command(*SWEEP, n_trials(4))

    assert (read.code, written.code) == (2, 2)
    assert_matches(
        "sweep `small` was deleted .*mlflow experiments restore --experiment-id 1",
        read.err,
    )
    assert_matches(
        (
            "experiment `paretune` .* was deleted; .*mlflow experiments restore "
            "--experiment-id 1, or .*tracking.exp"
        ),
        written.err,
    )
