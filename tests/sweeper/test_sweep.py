"""Sweeps of real trainings on digits, checked in Optuna, in MLflow and on disk."""

import shutil
from pathlib import Path

import optuna
import pytest
import yaml
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from optuna.trial import TrialState

from paretune.tracking import Store, read_points
from paretune.tracking.runs import find_runs
from small_sweep import SMALL_SWEEP, n_trials, run_sweep

pytestmark = pytest.mark.xdist_group("sweep")  # one process makes the sweep for all

SWEEP = (
    *SMALL_SWEEP,
    "data.splitting.train_size=200",
    "model=choice(conv,squeeze)",
)


@pytest.fixture(scope="module")
def made(tmp_path_factory, migrated) -> Path:
    """The store of the sweep after three trials, made once; left as it is."""
    folder = tmp_path_factory.mktemp("sweep") / "store"
    migrated(folder / "mlflow.db")
    run_sweep(folder, *SWEEP, n_trials(3))
    return folder


@pytest.fixture
def swept(made, command, tmp_path):
    """The command, where the sweep has had its three trials."""
    shutil.copytree(made, tmp_path / "store", dirs_exist_ok=True)
    return command


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(f"sqlite:///{tmp_path}/store/mlflow.db")


def test_hydra_finds_the_sweeper():
    assert "ParetuneSweeper" in [
        plugin.__name__ for plugin in Plugins.instance().discover(Sweeper)
    ]


def test_a_sweep_leaves_the_same_trials_in_optuna_in_mlflow_and_on_disk(
    swept, store, tmp_path
):
    study = optuna.load_study(
        study_name="small", storage=f"sqlite:///{tmp_path}/store/optuna.db"
    )
    points = read_points(store, "small")
    folders = sorted(
        path.parent.name
        for path in (tmp_path / "store/outputs/small").glob("*/weights.pt")
    )
    results = yaml.safe_load(
        (tmp_path / "store/outputs/small/optimization_results.yaml").read_text()
    )

    assert [trial.values for trial in study.trials] == [
        [point.params, pytest.approx(point.f1)] for point in points
    ]
    assert study.metric_names == ["parameters", "F1"]
    assert (
        study.trials[0]
        .user_attrs["overrides"]
        .startswith("data=digits trainer.max_epochs=1 ")
    )
    assert max(point.params for point in points) <= 4000
    assert folders == ["0", "1", "2"]
    assert len(results["solutions"]) == len(study.best_trials)
    (parent,) = find_runs(store, {"kind": "sweep"})
    assert {"front.csv", "front.png", "report.html", "sweep.yaml"} == {
        file.path for file in store.client.list_artifacts(parent.info.run_id)
    }
    assert parent.data.tags["cap"] == "4000"


def test_the_same_command_resumes_and_a_larger_total_adds_the_difference(swept, store):
    again = swept(*SWEEP, n_trials(3))
    more = swept(*SWEEP, n_trials(4))

    assert (
        "sweep small is complete: 3 trials are finished, nothing is left to train"
        in again.out
    )
    assert "sweep small: 3 of 4 trials are finished, 1 to go" in more.out
    assert len(read_points(store, "small")) == 4
    assert len(find_runs(store, {"kind": "sweep"})) == 1


def test_the_settings_a_study_keeps_are_those_of_the_config_and_not_of_what_was_counted(
    command, tmp_path
):
    one_family = (*SWEEP[:-1], "model=conv")
    command(*one_family, n_trials(1))
    more = command(*one_family, n_trials(2), "hydra/sweeper/sampler=random")
    study = optuna.load_study(
        study_name="small", storage=f"sqlite:///{tmp_path}/store/optuna.db"
    )

    assert study.user_attrs["settings"]["model.widths"] == "[8, 8, 8, 8, 8]"
    assert more.code == 0, more.err


def test_the_configurations_of_start_run_first_and_once(command, store, tmp_path):
    """What is searched is taken from them, what is not is the sweep's."""
    start = (
        "hydra.sweeper.start=['model=conv model.depth=2 model.widths=[4,5] "
        "optimizer=adamw optimizer.lr=0.004']"
    )
    command(*SWEEP, n_trials(1), start)
    more = command(*SWEEP, n_trials(2), start)
    study = optuna.load_study(
        study_name="small", storage=f"sqlite:///{tmp_path}/store/optuna.db"
    )

    assert more.code == 0, more.err
    assert [
        trial.params["conv/model.widths.1"]
        for trial in study.trials
        if trial.number == 0
    ] == [5]
    assert study.trials[0].params["optimizer.lr"] == 0.004
    assert len(study.trials) == 2


@pytest.mark.parametrize("name", ["record", "record_fashion"])
@pytest.mark.slow
def test_the_record_sweep_runs_on_digits(command, store, name):
    """With its space, the known configurations and its race; its other data set has to
    be fetched.
    """
    answer = command(
        f"sweeps={name}",
        "data=digits",
        "data.splitting.train_size=200",
        "trainer.max_epochs=2",
        "hydra.sweeper.n_jobs=1",
        "hydra.sweeper.race.min_epochs=1",
        n_trials(10),
    )
    points = read_points(store, name)

    assert answer.code == 0, answer.err
    assert len(points) >= 5


def test_without_anything_to_search_the_same_configuration_is_repeated(command, store):
    """Which is how noise is measured: other seeds would be searched."""
    answer = command(
        *SWEEP[:-1], "model=conv", "model.widths=[4,4]", "space=null", n_trials(2)
    )

    assert "nothing is searched: the same configuration runs 2 times" in answer.out
    assert len({point.f1 for point in read_points(store, "small")}) == 1
    assert len(read_points(store, "small")) == 2


def test_a_start_that_the_space_does_not_hold_is_one_line(command):
    answer = command(*SWEEP, n_trials(1), "hydra.sweeper.start=['model=dense']")

    assert answer.code == 2
    assert (
        "start `model=dense` has model `dense`, which is not searched; expected "
        "one of conv, squeeze"
    ) in answer.err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("cap.max_params=5000", "cap: 4000 -> 5000"),
        pytest.param(
            "trainer.max_epochs=2", "trainer.max_epochs: 1 -> 2", marks=pytest.mark.slow
        ),
        pytest.param(
            "scheduler=step",
            "(config group scheduler: cosine -> step; scheduler: ",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "optimizer.lr=interval(0.01,0.02)",
            "step=None) -> FloatDistribution(high=0.02, log=False, low=0.01",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_another_question_under_the_same_name_is_refused_with_what_changed(
    swept, store, change, message
):
    answer = swept(*SWEEP, n_trials(4), change)

    assert answer.code == 2
    assert "study `small` was started with a different configuration (" in answer.err
    assert message in answer.err
    assert len(read_points(store, "small")) == 3


def test_a_failed_trial_is_failed_everywhere_and_the_sweep_ends(
    command, store, tmp_path
):
    """At the first learning rate a trial diverges, at the second it finishes."""
    lr = (
        "optimizer.lr=choice(1e38,0.01)",
        "optimizer=sgd",
        "hydra.sweeper.start=['optimizer.lr=1e38 model.widths.0=3','optimizer.lr=0.01 model.widths.0=3']",
        "space=null",
        "model.depth=2",
        "model.widths.0=int(interval(2,4))",
        "cap.max_params=20000",
    )
    command(*SWEEP, n_trials(3), *lr, "hydra.sweeper.max_failure_rate=1.0")
    study = optuna.load_study(
        study_name="small", storage=f"sqlite:///{tmp_path}/store/optuna.db"
    )
    failed = [trial.number for trial in study.trials if trial.state is TrialState.FAIL]
    runs = {
        int(run.data.tags["trial"]): run for run in find_runs(store, {"kind": "trial"})
    }

    assert 0 < len(failed) < 3
    assert [
        number for number, run in sorted(runs.items()) if run.info.status == "FAILED"
    ] == failed
    assert "DivergedError" in runs[failed[0]].data.tags["error"]


@pytest.mark.slow
def test_a_sweep_without_a_name_is_named_after_its_question(command, store):
    for n in (1, 2):
        command(
            *(argument for argument in SWEEP if not argument.startswith("name=")),
            n_trials(n),
        )
    (sweep,) = find_runs(store, {"kind": "sweep"})

    assert sweep.data.tags["sweep"].startswith("adhoc-")
    assert len(read_points(store, sweep.data.tags["sweep"])) == 2
