"""How a training computes is chosen once for a sweep, and not by timing anywhere
else.
"""

from itertools import cycle

import optuna
import pytest

from paretune.search.storage import read_study_notes
from paretune.tracking import Store
from paretune.tracking.runs import find_runs
from paretune.training import settings
from paretune.training.execution import Execution, TimingBudget
from paretune.training.programs import load_kernels

QUICK = (
    "data=digits",
    "data.splitting.train_size=200",
    "trainer.max_epochs=1",
    "model=conv",
)
SWEEP = ("-m", *QUICK, "name=small", "cap.max_params=4000")


@pytest.fixture(autouse=True)
def _moody_timer(monkeypatch):
    """Another execution is the fastest each time."""
    fastest = cycle(
        [Execution("channels_last", "bf16", 1), Execution("contiguous", "fp32", 1)]
    )
    monkeypatch.setattr(settings, "autotune", lambda *arguments: (next(fastest), {}))
    monkeypatch.setattr(TimingBudget, "allows", lambda *arguments: True)


def layouts(kind: str, tmp_path) -> list[str]:
    runs = find_runs(Store(f"sqlite:///{tmp_path}/store/mlflow.db"), {"kind": kind})
    return [run.data.tags["layout"] for run in runs]


def test_all_trials_of_a_sweep_compute_in_one_way_also_after_a_restart(
    command, tmp_path
):
    command(*SWEEP, "hydra.sweeper.n_trials=2")
    command(*SWEEP, "hydra.sweeper.n_trials=3")
    study = optuna.load_study(
        study_name="small", storage=f"sqlite:///{tmp_path}/store/optuna.db"
    )

    assert layouts("trial", tmp_path) == ["channels_last/bf16/1 threads"] * 3
    kept = read_study_notes(study)["shared:execution of conv on cpu"]
    assert Execution(**kept) == Execution("channels_last", "bf16", 1)


def test_a_sweep_of_short_trials_times_nothing_and_computes_as_a_single_training(
    command, tmp_path, monkeypatch
):
    monkeypatch.undo()  # trials of four steps allow no timing
    monkeypatch.setattr(settings, "autotune", None)
    command(*SWEEP, "hydra.sweeper.n_trials=2")
    command(*QUICK)

    assert layouts("trial", tmp_path) == layouts("run", tmp_path) * 2


def test_a_single_training_is_fp32_by_our_own_kernels_unless_told_otherwise(
    command, tmp_path
):
    command(*QUICK)
    command(*QUICK, "trainer.precision=bf16")
    command(*QUICK, "trainer.memory_format=contiguous")

    fastest_fp32 = "batch_last/fp32" if load_kernels() else "contiguous/fp32"
    assert layouts("run", tmp_path) == [
        fastest_fp32,
        "contiguous/bf16",
        "contiguous/fp32",
    ]


def test_a_worker_without_the_chosen_kernels_trains_without_them(
    command, tmp_path, monkeypatch
):
    """As on a cluster some of whose machines have no compiler."""
    monkeypatch.setattr(
        settings,
        "autotune",
        lambda *arguments: (Execution("batch_last", threads=1), {}),
    )
    monkeypatch.setattr("paretune.training.programs.load_kernels", lambda: None)
    answer = command(*SWEEP, "hydra.sweeper.n_trials=1")

    assert (
        "this machine cannot run batch_last/fp32/1 threads, which the sweep has chosen"
        in answer.out
    )
    assert layouts("trial", tmp_path) == ["contiguous/fp32/1 threads"]
