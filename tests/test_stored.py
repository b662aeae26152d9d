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
# What the family searched by itself in that version.
ITS_SPACE = (
    "space=null",
    "model.widths=[16,16]",
    "model.widths.0=tag(log,int(interval(2,48)))",
    "model.widths.1=tag(log,int(interval(2,48)))",
    "model.kernel_size=choice(3,5)",
    "model.norm=choice(none,batch)",
    "model.dropout=interval(0.0,0.3)",
    "optimizer.lr=tag(log,interval(0.001,0.03))",
)
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


def test_its_sweep_goes_on_with_the_space_that_it_had(store, command):
    answer = command(*ONE_FAMILY, *ITS_SPACE, "hydra.sweeper.n_trials=4")
    study = optuna.load_study(
        study_name="one_family", storage=f"sqlite:///{store}/optuna.db"
    )

    assert answer.code == 0, answer.err
    assert "sweep one_family: 3 of 4 trials are finished, 1 to go" in answer.out
    assert [trial.number for trial in study.trials] == [0, 1, 2, 3]
    assert len(trials("one_family")) == 4


@pytest.mark.parametrize(
    "sweep", [ONE_FAMILY, FAMILIES], ids=["one_family", "families"]
)
def test_a_space_that_has_grown_since_is_refused(store, command, sweep):
    answer = command(*sweep, "hydra.sweeper.n_trials=4")
    name = sweep[len(SETTINGS)].removeprefix("name=")

    assert answer.code == 2
    assert f"study `{name}` was started with a different configuration" in answer.err
    assert len(trials(name)) == 3


def test_another_question_is_still_refused(store, command):
    answer = command(
        *ONE_FAMILY, *ITS_SPACE, "hydra.sweeper.n_trials=4", "trainer.batch_size=64"
    )

    assert answer.code == 2
    assert "(trainer.batch_size: 128 -> 64)" in answer.err
