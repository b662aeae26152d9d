"""A store that was moved, copied or mounted elsewhere, and stores in folders of any
name.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hydra.core.plugins import Plugins
from hypothesis import given
from hypothesis import strategies as st
from recording import run_trial, start_sweep
from sqlalchemy.engine.url import make_url

from paretune.commands.export import cli as export
from paretune.commands.pareto import cli as pareto
from paretune.commands.train import cli as train
from paretune.data.images import Scaling
from paretune.errors import StoreError
from paretune.paths import sqlite_file, sqlite_url, tracking_uri
from paretune.tracking import Store, SweepRecorder, read_points, weights_of
from paretune.tracking.run_files import keep_file
from paretune.training import load, save
from server import Server
from small_sweep import SMALL_SWEEP, n_trials

# What means something in URLs, in Hydra's and OmegaConf's grammar, in SQL and in a
# shell, beside letters of all alphabets.
NAMES = ["a b%2F50%41", "a?b#c{d}", 'it\'s "x"', "ünï&=+;(,)", "a:b@c"]


def store_in(folder: Path) -> Store:
    return Store(tracking_uri(folder), str(folder / "artifacts"), "tests")


@pytest.fixture
def made(tmp_path, migrated) -> Store:
    """A store with a trial, whose weights are b"weights"."""
    migrated(tmp_path / "old" / "mlflow.db")
    store = store_in(tmp_path / "old")
    start_sweep(store)
    run_trial(store, tmp_path)
    return store


@pytest.mark.parametrize("move", [shutil.move, shutil.copytree])
def test_a_store_is_read_where_it_is_now(made, tmp_path, move):
    run = read_points(made, "small")[0].run_id
    move(tmp_path / "old", tmp_path / "new")
    (tmp_path / "new/artifacts" / run / "artifacts/weights.pt").write_bytes(
        b"of the new place"
    )
    new = Store(tracking_uri(tmp_path / "new")).open_for_reading()
    with weights_of(new, run) as path:
        assert path.read_bytes() == b"of the new place"


def test_a_moved_store_is_written_where_it_is_now_and_nowhere_else(made, tmp_path):
    shutil.move(tmp_path / "old", tmp_path / "new")
    new = store_in(tmp_path / "new")
    start_sweep(new)
    run = run_trial(new, tmp_path, 1)

    assert not (tmp_path / "old").exists()
    assert (
        tmp_path / "new/artifacts" / run / "artifacts/weights.pt"
    ).read_bytes() == b"weights"


def test_writing_to_a_copy_leaves_the_original_as_it_was(made, tmp_path):
    shutil.copytree(tmp_path / "old", tmp_path / "new")
    before = contents(tmp_path / "old")
    new = store_in(tmp_path / "new")
    start_sweep(new)
    run_trial(new, tmp_path, 1)

    assert contents(tmp_path / "old") == before


def contents(folder: Path) -> dict[str, bytes]:
    files = [
        path
        for path in folder.rglob("*")
        if path.is_file() and not path.name.endswith(("-shm", "-wal"))
    ]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_mlflow_itself_finds_the_files_of_a_moved_store_that_was_written_to(
    made, tmp_path
):
    """As its UI does."""
    run = read_points(made, "small")[0].run_id
    shutil.move(tmp_path / "old", tmp_path / "new")
    new = store_in(tmp_path / "new")
    new.create()

    assert {file.path for file in new.client.list_artifacts(run)} == {
        "config.yaml",
        "weights.pt",
    }


def test_files_that_were_kept_elsewhere_are_still_found(tmp_path, migrated):
    migrated(tmp_path / "store" / "mlflow.db")
    elsewhere = Store(
        tracking_uri(tmp_path / "store"), str(tmp_path / "big disk"), "tests"
    )
    start_sweep(elsewhere)
    run = run_trial(elsewhere, tmp_path)
    store_in(tmp_path / "store").create()
    with weights_of(Store(tracking_uri(tmp_path / "store")), run) as path:
        assert path == tmp_path / "big disk" / run / "artifacts/weights.pt"


@pytest.mark.parametrize("kind", ["file", "run", "all"])
def test_files_that_were_deleted_are_named_with_what_to_do(made, tmp_path, kind):
    run = read_points(made, "small")[0].run_id
    folder = tmp_path / "old/artifacts" / run / "artifacts"
    (folder / "weights.pt").unlink()
    if kind != "file":
        shutil.rmtree(folder if kind == "run" else tmp_path / "old/artifacts")

    with (
        pytest.raises(
            StoreError,
            match=rf"weights.pt of run `{run}` is not at {folder}/weights.pt; put the folder back .* "
            rf"paretune confirm small --run {run[:8]}",
        ),
        weights_of(made, run),
    ):
        pass


@pytest.mark.parametrize("name", NAMES)
def test_a_store_may_be_in_a_folder_of_any_name(tmp_path, migrated, name):
    folder = tmp_path / name
    migrated(folder / "mlflow.db")
    store = store_in(folder)
    start_sweep(store)
    run = run_trial(store, tmp_path)
    with weights_of(
        store.open_for_reading(),
        read_points(store.open_for_reading(), "small")[0].run_id,
    ) as path:
        assert path == folder / "artifacts" / run / "artifacts/weights.pt"

    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        [name, "weights.pt"]
    )
    assert {file.path for file in store.client.list_artifacts(run)} == {
        "config.yaml",
        "weights.pt",
    }


@given(st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1))
def test_the_url_of_every_file_names_that_file(name):
    url = sqlite_url(f"/folder/{name}.db")

    assert make_url(url).database == f"/folder/{name}.db"
    assert sqlite_file(url) == Path(f"/folder/{name}.db")


def test_a_store_on_a_disk_that_is_mounted_read_only_is_read(made, tmp_path):
    mount = tmp_path / "mounted"
    mount.mkdir()
    script = (
        f"mount --bind '{tmp_path}/old' '{mount}' && mount -o remount,bind,ro "
        f"'{mount}' && exec \"$@\""
    )
    python = (
        "import sys; from paretune.pareto import trials; print(len(trials('small', "
        "uri=sys.argv[1])))"
    )
    inside = ["unshare", "--mount", "sh", "-c", script, "sh"]
    if subprocess.run([*inside, "true"], capture_output=True, check=False).returncode:
        pytest.skip("mounting needs rights that this user has not")
    command = [*inside, sys.executable, "-c", python, tracking_uri(mount)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)

    assert answer.stdout.strip() == "1", answer.stderr


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:50])


@pytest.fixture
def with_weights(made, tmp_path) -> str:
    """The id of a run of the store with the weights of a network."""
    from paretune.models import build

    model = {
        "_target_": "paretune.models.dense.Dense",
        "image_shape": [1, 4, 4],
        "num_classes": 2,
        "widths": [2],
    }
    save(tmp_path / "weights.pt", build(model), {"model": model}, Scaling(0.0, 1.0))
    (run,) = read_points(made, "small")
    keep_file(made, run.run_id, tmp_path / "weights.pt")
    return run.run_id


def test_weights_that_were_cut_off_are_named_by_a_file_that_is_there(
    made, with_weights
):
    with weights_of(made, with_weights) as path:
        load(path)
        cut(path)
    with (
        pytest.raises(StoreError, match=rf"checkpoint `{path}` cannot be read"),
        weights_of(made, with_weights) as path,
    ):
        load(path)
    assert path.is_file()


SWEEP = (*SMALL_SWEEP, "data.splitting.train_size=100", "model=conv", n_trials(1))


@pytest.mark.slow
def test_a_sweep_is_made_read_and_exported_in_a_folder_of_any_name(
    tmp_path, migrated, answered, monkeypatch
):
    folder = tmp_path / "".join(NAMES) / "$x"
    migrated(folder / "mlflow.db")
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("PARETUNE_STORE", str(folder))
    Plugins.instance()
    for cli, *arguments in (
        (train, *SWEEP),
        (pareto, "small"),
        (export, "small", "model.onnx"),
    ):
        answer = answered(cli, *arguments)
        assert answer.code == 0, answer.err

    assert {path.name for path in tmp_path.iterdir()} == {folder.parent.name, "work"}
    assert {path.name for path in folder.iterdir()} >= {
        "mlflow.db",
        "optuna.db",
        "artifacts",
        "outputs",
    }


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("server"))
    server.start()
    yield server
    server.stop()


@pytest.mark.slow
def test_a_server_says_of_which_run_a_file_was_cut_off_or_deleted(server, tmp_path):
    store = Store(server.uri, experiment="tests")
    start_sweep(store, "cut")
    run = run_trial(store, tmp_path, sweep="cut")
    (kept,) = (server.folder / "files").rglob("weights.pt")
    named = rf"checkpoint `weights.pt of run {run} in {server.uri}` cannot be read"
    with pytest.raises(StoreError, match=named), weights_of(store, run) as path:
        load(path)
    kept.unlink()
    deleted = (
        rf"weights.pt of run `{run}` cannot be had from .*confirm cut --run {run[:8]}"
    )
    with pytest.raises(StoreError, match=deleted), weights_of(store, run):
        pass


@pytest.mark.slow
def test_a_server_that_lost_the_runs_of_a_sweep_is_told_from_one_that_was_away(
    server, tmp_path, caplog
):
    """What a server has not got yet may wait on another machine."""
    store = Store(server.uri, experiment="tests", spool=str(tmp_path / "spool"))
    sweep = SweepRecorder(
        {"uri": store.uri, "experiment": "tests", "spool": store.spool}
    )
    sweep.start("small", {"study": "a"})
    with pytest.raises(StoreError, match=r"1 of them .* have no run"):
        sweep.compare("small", "study.db", "a", 1, {0})
    run_trial(store, tmp_path)
    sweep.compare("small", "study.db", "a", 2, {0, 1})
    assert "1 of 2 complete trials have no run" in caplog.text
    with pytest.raises(StoreError, match="those are of study a, this one is b"):
        sweep.compare("small", "study.db", "b", 2, {0, 1})
    with pytest.raises(StoreError, match=r"has 0 trials, .* has runs of 1 trial"):
        sweep.compare("small", "study.db", "a", 0, ())
