"""A store and a study that version 0.2.0 wrote open and go on."""

import tarfile
from pathlib import Path

import optuna
import pytest

from paretune import paths
from paretune.pareto import front, trials

STORED = Path(__file__).parent / "stored" / "version_0_2_0.tar.xz"
SETTINGS = (
    "-m",
    "data=digits",
    "data.splitting.train_size=200",
    "trainer.autotune=false",
    "cap.max_params=4000",
)
ONE_FAMILY = (*SETTINGS, "name=one_family", "model=conv", "trainer.max_epochs=1")
FAMILIES = (
    *SETTINGS,
    "name=families",
    "model=choice(conv,squeeze)",
    "trainer.max_epochs=4",
    "hydra.sweeper.race.eta=2",
    "hydra.sweeper.race.min_epochs=1",
    "hydra.sweeper.race.margin=0",
)


@pytest.fixture
def store(command) -> Path:
    """A copy of that store; its databases know it by the name ``/STORE``."""
    folder = paths.store()
    with tarfile.open(STORED) as archive:
        archive.extractall(folder, filter="data")
    return folder


def test_its_trials_and_its_front_are_read(store):
    table = trials("one_family", "families")

    assert sorted(table["state"]) == ["complete"] * 5 + ["raced"]
    trials_of_one = table[table["sweep"] == "one_family"].sort_values("n_params")
    is_best_so_far = trials_of_one["val_f1"] > trials_of_one["val_f1"].cummax().shift(
        fill_value=-1
    )
    assert list(front("one_family")["run_id"]) == list(
        trials_of_one[is_best_so_far]["run_id"]
    )


@pytest.mark.parametrize(
    "sweep", [ONE_FAMILY, FAMILIES], ids=["one_family", "families"]
)
def test_its_sweeps_go_on(store, command, sweep):
    answer = command(*sweep, "hydra.sweeper.n_trials=4")
    name = sweep[len(SETTINGS)].removeprefix("name=")
    study = optuna.load_study(study_name=name, storage=f"sqlite:///{store}/optuna.db")

    assert answer.code == 0, answer.err
    assert f"sweep {name}: 3 of 4 trials are finished, 1 to go" in answer.out
    assert [trial.number for trial in study.trials] == [0, 1, 2, 3]
    assert len(trials(name)) == 4


def test_another_question_is_still_refused(store, command):
    answer = command(*ONE_FAMILY, "hydra.sweeper.n_trials=4", "trainer.batch_size=64")

    assert answer.code == 2
    assert "(trainer.batch_size: 128 -> 64)" in answer.err
