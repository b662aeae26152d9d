"""Apps written for hydra-optuna-sweeper run with the sweeper's name as the only
change.
"""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
import yaml
from hydra import compose, initialize_config_dir

from paretune.search.claims import ask, requeue
from paretune.search.space import Space
from paretune.search.study import open_study
from paretune.search.worker import Sweep
from search.settings import LIMITS, up_to

APPS = Path(__file__).parent / "apps"


def run(
    app: str, tmp_path: Path, *overrides: str
) -> tuple[dict, subprocess.CompletedProcess[str]]:
    """Runs the app's sweep; returns its results file and the finished process."""
    command = [
        sys.executable,
        "app.py",
        "-m",
        f"hydra.sweep.dir={tmp_path}",
        *overrides,
    ]
    env = os.environ | {
        "PYTHONPATH": os.pathsep.join([".", os.environ.get("PYTHONPATH", "")])
    }
    done = subprocess.run(
        command, cwd=APPS / app, env=env, capture_output=True, text=True, check=False
    )
    results = tmp_path / "optimization_results.yaml"
    return (yaml.safe_load(results.read_text()) if results.is_file() else {}), done


def test_sphere_finds_its_minimum(tmp_path):
    results, done = run("sphere", tmp_path)

    assert done.returncode == 0, done.stderr
    assert results["name"] == "optuna"
    assert (
        results["best_value"]
        == results["best_params"]["x"] ** 2 + results["best_params"]["y"] ** 2
        <= 1.0
    )
    assert (tmp_path / "19" / ".hydra" / "config.yaml").is_file()


def test_a_fixed_override_leaves_the_space(tmp_path):
    results, _ = run("sphere", tmp_path, "y=5", "hydra.sweeper.n_trials=4")

    assert results["best_value"] >= 25


@pytest.mark.slow
def test_several_workers_need_no_storage(tmp_path):
    results, done = run(
        "sphere", tmp_path, "hydra.sweeper.n_jobs=2", "hydra.sweeper.n_trials=6"
    )
    study = optuna.load_study(
        study_name="sphere", storage=f"sqlite:///{tmp_path}/optuna.db"
    )

    assert done.returncode == 0, done.stderr
    assert [trial.state.name for trial in study.trials[:6]] == ["COMPLETE"] * 6
    assert results["best_value"] == study.best_value


@pytest.mark.slow
def test_workers_of_a_sweep_without_a_name_write_where_their_parent_does(tmp_path):
    dir_of_name = f"hydra.sweep.dir={tmp_path}/${{hydra.sweeper.study_name}}"
    unnamed = (
        "hydra.sweeper.study_name=null",
        "hydra.sweeper.n_jobs=2",
        "hydra.sweeper.n_trials=2",
    )
    _, done = run("sphere", tmp_path, dir_of_name, *unnamed)
    (folder,) = tmp_path.glob("*")

    assert done.returncode == 0, done.stderr
    assert folder.name.startswith("adhoc-")
    assert (folder / "workers").is_dir()


@pytest.mark.slow
def test_too_many_failures_end_the_sweep_and_a_rate_allows_them(tmp_path):
    _, strict = run("sphere", tmp_path, "error=true", "hydra.sweeper.n_trials=5")
    results, lenient = run(
        "sphere",
        tmp_path / "b",
        "error=true",
        "hydra.sweeper.n_trials=5",
        "hydra.sweeper.max_failure_rate=1.0",
    )

    assert strict.returncode != 0
    assert (
        "stops: 1 trials of 5 failed, more than the share 0 it allows" in strict.stderr
    )
    assert (
        ": RuntimeError: negative; their tracebacks are in the logs in their folders"
        in strict.stderr
    )
    assert "Traceback" not in strict.stderr
    assert lenient.returncode == 0
    assert results["best_params"]["x"] >= 0


@pytest.mark.parametrize(
    "sampler", ["tpe", pytest.param("grid", marks=pytest.mark.slow)]
)
def test_with_nothing_to_search_the_configuration_runs_as_often_as_there_are_trials(
    tmp_path, sampler
):
    results, done = run(
        "sphere",
        tmp_path,
        "x=1",
        "y=2",
        "hydra.sweeper.n_trials=3",
        f"hydra/sweeper/sampler={sampler}",
    )

    assert done.returncode == 0, done.stderr
    assert (
        done.stdout.count(
            "nothing is searched: the same configuration runs 3 times, which measures "
            "its noise"
        )
        == 1
    )
    assert results == {"name": "optuna", "best_params": {}, "best_value": 5.0}
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == [
        "0",
        "1",
        "2",
    ]


@pytest.mark.slow
def test_workers_find_what_is_named_from_the_commands_folder_also_if_jobs_change_theirs(
    tmp_path,
):
    """As in an app that names no ``version_base``."""
    options = (
        "hydra.sweep.dir=out",
        "hydra.sweeper.storage=sqlite:///study.db",
        "hydra.sweeper.n_jobs=2",
        "hydra.job.chdir=true",
    )
    command = [
        sys.executable,
        APPS / "sphere" / "app.py",
        "-m",
        "hydra.sweeper.n_trials=4",
        *options,
    ]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120
    )
    study = optuna.load_study(
        study_name="sphere", storage=f"sqlite:///{tmp_path}/study.db"
    )

    assert done.returncode == 0, done.stderr
    assert [trial.state.name for trial in study.trials[:4]] == ["COMPLETE"] * 4
    assert {"0", "1", "2", "3"} <= {path.name for path in (tmp_path / "out").iterdir()}


def test_a_mistake_in_any_app_is_a_line(tmp_path):
    _, done = run("sphere", tmp_path, "hydra.sweeper.metric_names=[a,b]")
    line, *_ = done.stderr.split("\n")

    assert done.returncode == 1
    assert line.startswith(
        "metric_names `['a', 'b']` do not fit direction `minimize`; give a name for "
        "each direction in hydra.sweeper.metric_names"
    )
    assert "Traceback" not in done.stderr


def test_optuna_reads_a_study_as_if_it_were_its_own(tmp_path):
    """What a trial ran, what its values are called and why it failed; nothing that only
    the sweeper looks at.
    """
    names = (
        "hydra.sweeper.metric_names=[height,distance]",
        f"hydra.sweeper.storage=sqlite:///{tmp_path}/optuna.db",
    )
    _, done = run("multi", tmp_path, "hydra.sweeper.n_trials=6", "+comment=a b", *names)
    study = optuna.load_study(
        study_name="multi-objective", storage=f"sqlite:///{tmp_path}/optuna.db"
    )
    (trial, *_), figure = study.trials, optuna.visualization.plot_pareto_front(study)

    assert done.returncode == 0, done.stderr
    assert study.metric_names == ["height", "distance"]
    assert (figure.layout.xaxis.title.text, figure.layout.yaxis.title.text) == (
        "height",
        "distance",
    )
    assert trial.user_attrs == {
        "overrides": f"'+comment=a b' x={trial.params['x']} y={trial.params['y']}"
    }
    assert set(study.user_attrs) == {"question", "settings"}


def test_multi_objective_leaves_its_solutions(tmp_path):
    results, done = run("multi", tmp_path, "hydra.sweeper.n_trials=8")

    assert done.returncode == 0, done.stderr
    assert len(results["solutions"]) >= 1
    assert all(len(solution["values"]) == 2 for solution in results["solutions"])


def test_a_custom_search_space_suggests_within_what_was_drawn(tmp_path):
    results, done = run("custom", tmp_path, "hydra.sweeper.n_trials=6")
    best = results["best_params"]

    assert done.returncode == 0, done.stderr
    assert best["x"] - best["y"] <= best["z"] <= best["x"] + best["y"]
    assert 0 <= best["+w_z"] <= 0.5


@pytest.mark.parametrize(
    "field",
    [
        "tpe.group",
        "tpe.constant_liar",
        "cmaes.popsize",
        "cmaes.lr_adapt",
        "nsgaii.crossover",
        "grid.seed",
    ],
)
def test_a_samplers_fields_are_set_on_the_command_line(tmp_path, field):
    sampler, name = field.split(".")
    overrides = [f"hydra/sweeper/sampler={sampler}", f"hydra.sweeper.sampler.{name}=3"]
    with initialize_config_dir(str(APPS / "sphere"), version_base=None):
        config = compose("config", overrides=overrides, return_hydra_config=True)

    assert config.hydra.sweeper.sampler[name] == 3


def test_grid_tries_every_combination(tmp_path):
    sweep = (
        "hydra/sweeper/sampler=grid",
        "x=choice(1,2,3)",
        "y=choice(4,5)",
        "hydra.sweeper.n_trials=6",
    )
    results, done = run("sphere", tmp_path, *sweep)
    tried = {
        (tmp_path / str(n) / ".hydra/overrides.yaml").read_text() for n in range(6)
    }

    assert done.returncode == 0, done.stderr
    assert len(tried) == 6
    assert results["best_value"] == 1 + 16


@pytest.mark.parametrize("sampler", ["random", "cmaes", "gp", "qmc", "nsgaiii"])
@pytest.mark.slow
def test_every_sampler_runs(tmp_path, sampler):
    space = ("x=interval(-5,5)", "y=interval(-5,5)")
    results, done = run(
        "sphere",
        tmp_path,
        f"hydra/sweeper/sampler={sampler}",
        "hydra.sweeper.n_trials=12",
        *space,
    )

    assert done.returncode == 0, done.stderr
    assert results["best_value"] < 50


@pytest.mark.parametrize(
    ("visible", "expected"),
    [("3,5", ["3", "5", "3"]), ("", [None] * 3), ("GPU-a", ["GPU-a"] * 3)],
)
def test_workers_take_the_gpus_in_turn(monkeypatch, visible, expected):
    from hydra_plugins.paretune_sweeper._launching import choose_gpu, list_gpus

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)

    assert [choose_gpu(slot, list_gpus()) for slot in range(3)] == expected


def test_workers_of_a_killed_parent_count_as_long_as_they_live(monkeypatch, tmp_path):
    from hydra_plugins.paretune_sweeper._workers import WorkerPool

    study = open_study(
        "s",
        f"sqlite:///{tmp_path}/optuna.db",
        ["minimize"],
        optuna.samplers.RandomSampler(),
    )
    monkeypatch.setenv("PARETUNE_CREW", "an earlier parent")
    trial, _ = ask(study, up_to(1))
    crew = WorkerPool(
        study,
        Sweep("s", Space(), replace(LIMITS, n_trials=5)),
        lambda slot: [],
        n_jobs=1,
        logs=tmp_path,
    )

    assert not crew._has_room()
    requeue(study, trial)
    assert crew._has_room()
    assert not crew._has_room()  # the place was taken
