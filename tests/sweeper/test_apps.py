"""Apps written for hydra-optuna-sweeper run with the sweeper's name as the only change."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
import yaml

from paretune.errors import ConfigError
from paretune.search.claims import claim, requeue
from paretune.search.space import Space
from paretune.search.study import open_study
from paretune.search.worker import Sweep
from search.settings import LIMITS

APPS = Path(__file__).parent / "apps"


def run(app: str, tmp_path: Path, *overrides: str) -> tuple[dict, subprocess.CompletedProcess[str]]:
    """Runs the app's sweep; returns its results file and the finished process."""
    command = [sys.executable, "app.py", "-m", f"hydra.sweep.dir={tmp_path}", *overrides]
    env = os.environ | {"PYTHONPATH": "."}
    done = subprocess.run(command, cwd=APPS / app, env=env, capture_output=True, text=True, check=False)
    results = tmp_path / "optimization_results.yaml"
    return (yaml.safe_load(results.read_text()) if results.is_file() else {}), done


def test_sphere_finds_its_minimum(tmp_path):
    results, done = run("sphere", tmp_path)

    assert done.returncode == 0, done.stderr
    assert results["name"] == "optuna"
    assert results["best_value"] == results["best_params"]["x"] ** 2 + results["best_params"]["y"] ** 2 <= 1.0
    assert (tmp_path / "19" / ".hydra" / "config.yaml").is_file()


def test_a_fixed_override_leaves_the_space(tmp_path):
    results, _ = run("sphere", tmp_path, "y=5", "hydra.sweeper.n_trials=4")

    assert results["best_value"] >= 25


@pytest.mark.slow
def test_several_workers_need_no_storage(tmp_path):
    results, done = run("sphere", tmp_path, "hydra.sweeper.n_jobs=2", "hydra.sweeper.n_trials=6")
    study = optuna.load_study(study_name="sphere", storage=f"sqlite:///{tmp_path}/optuna.db")

    assert done.returncode == 0, done.stderr
    assert [trial.state.name for trial in study.trials[:6]] == ["COMPLETE"] * 6
    assert results["best_value"] == study.best_value


@pytest.mark.slow
def test_too_many_failures_end_the_sweep_and_a_rate_allows_them(tmp_path):
    _, strict = run("sphere", tmp_path, "error=true", "hydra.sweeper.n_trials=5")
    results, lenient = run(
        "sphere", tmp_path / "b", "error=true", "hydra.sweeper.n_trials=5", "hydra.sweeper.max_failure_rate=1.0"
    )

    assert strict.returncode != 0
    assert "stops: 1 trials of 5 failed, more than the share 0 it allows" in strict.stderr
    assert lenient.returncode == 0
    assert results["best_params"]["x"] >= 0


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


def test_grid_tries_every_combination(tmp_path):
    sweep = ("hydra/sweeper/sampler=grid", "x=choice(1,2,3)", "y=choice(4,5)", "hydra.sweeper.n_trials=6")
    results, done = run("sphere", tmp_path, *sweep)
    tried = {(tmp_path / str(n) / ".hydra/overrides.yaml").read_text() for n in range(6)}

    assert done.returncode == 0, done.stderr
    assert len(tried) == 6
    assert results["best_value"] == 1 + 16


@pytest.mark.parametrize("sampler", ["random", "cmaes", "gp", "qmc"])
@pytest.mark.slow
def test_every_sampler_runs(tmp_path, sampler):
    space = ("x=interval(-5,5)", "y=interval(-5,5)")
    results, done = run("sphere", tmp_path, f"hydra/sweeper/sampler={sampler}", "hydra.sweeper.n_trials=12", *space)

    assert done.returncode == 0, done.stderr
    assert results["best_value"] < 50


@pytest.mark.parametrize(
    ("visible", "expected"), [("3,5", ["3", "5", "3"]), ("", [None] * 3), ("GPU-a", ["GPU-a"] * 3)]
)
def test_workers_take_the_gpus_in_turn(monkeypatch, visible, expected):
    from hydra_plugins.paretune_sweeper._workers import gpu_of

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)

    assert [gpu_of(slot, None) for slot in range(3)] == expected


def test_more_workers_than_the_gpus_are_to_hold_are_refused(monkeypatch):
    from hydra_plugins.paretune_sweeper._workers import gpu_of

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")

    assert gpu_of(3, 2) == "1"
    with pytest.raises(
        ConfigError, match=r"n_jobs is over what 2 GPU\(s\) hold with workers_per_gpu `2`; expected at most 4"
    ):
        gpu_of(4, 2)


def test_workers_of_a_killed_parent_count_as_long_as_they_live(monkeypatch, tmp_path):
    from hydra_plugins.paretune_sweeper._workers import WorkerPool

    study = open_study("s", f"sqlite:///{tmp_path}/optuna.db", ["minimize"], optuna.samplers.RandomSampler())
    monkeypatch.setenv("PARETUNE_CREW", "an earlier parent")
    trial = study.ask()
    claim(study, trial)
    crew = WorkerPool(study, Sweep("s", Space(), replace(LIMITS, n_trials=5)), lambda slot: [], n_jobs=1)

    assert not crew._has_room()
    requeue(study, trial)
    assert crew._has_room()
    assert not crew._has_room()  # the place was taken
