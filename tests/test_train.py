"""The command ``paretune-train``, run for real on digits."""

import subprocess
import sys

import pytest
import yaml

from paretune import paths
from paretune.tracking import Store
from paretune.training import load
from paretune.training.execution import FORMATS

QUICK = ("data=digits", "data.splitting.train_size=200", "trainer.max_epochs=1", "model=dense")


def test_a_single_run_is_recorded_with_its_weights(command, tmp_path):
    answer = command(*QUICK, "test=true")
    store = Store(f"sqlite:///{tmp_path}/store/mlflow.db")
    (run,) = store.runs({"kind": "run"})
    (weights,) = (tmp_path / "store" / "artifacts").rglob("weights.pt")

    assert answer.code == 0, answer.err
    assert run.info.status == "FINISHED"
    assert {"n_params", "val_f1", "test_f1", "images_per_s"} <= set(run.data.metrics)
    assert run.data.tags["layout"].split("/")[0] in FORMATS
    assert load(weights)[1]["model"]["widths"] == [64, 64]


def test_a_model_over_the_cap_stops_before_anything_is_built_or_read(command, tmp_path):
    """The data set named here does not exist on disk: it is never looked for."""
    (tmp_path / "store" / "mlflow.db").unlink()
    answer = command("model=conv", "model.widths=[64,64]", "cap.max_params=1000", "data.root=/nowhere")

    assert answer.code == 2
    expected = "paretune-train: model `conv` has 68,938 parameters, 67,938 over the cap; expected at most 1,000; "
    assert answer.err.splitlines() == [expected + "make it smaller or raise cap.max_params"]
    assert not (tmp_path / "store" / "mlflow.db").exists()


SWEEP = ("-m", "data=digits", "model=dense")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["model.widhts=[3]"], "Could not override 'model.widhts'"),
        (["model=resnet"], "Could not find 'model/resnet'"),
        (["data=digits", "model=conv", "model.norm=layer"], "model.norm `layer` is unknown; expected one of batch, group, instance, none, scalar"),
        (["data=digits", "trainer.max_epochs=0"], "trainer.max_epochs `0` is invalid"),
        (["data=digits", "trainer.max_epochs=ten"], "trainer.max_epochs `ten` is invalid; expected a whole number of at least 1"),
        (["data=digits", "trainer.device=cuda:x"], "trainer.device `cuda:x` is not on this machine; expected one of auto, cpu, cuda"),
        (["cap.max_params=5k"], "cap.max_params `5k` is invalid; expected a whole number of at least 1"),
        (["data=digits", "+trainer.x=1"], "trainer.x `1` is unknown; expected a field of conf/trainer"),
        (["data=digits", "model=dense", "scheduler=plateau", "scheduler.factor=2"], "scheduler cannot be made ("),
        (["data=digits", "model.num_classes=7"], "model.num_classes `7` does not fit data `digits`; expected 10; set model.num_classes"),
        (["data=digits", "model.image_shape=[1,32,32]"], "model.image_shape `[1, 32, 32]` does not fit data `digits`; expected [1, 28, 28]"),
        (["data=digits", "data.splitting.train_on_val=true"],
         "data.splitting.train_on_val `true` with selection.epoch `best` would choose by images that were trained on"),
        ([*SWEEP, "data.splitting.train_on_val=true"], "data.splitting.train_on_val `true` in a sweep would choose by images"),
        (["data=digits", "seed=-1"], "seed `-1` is invalid; expected a whole number from 0"),
        (["data=digits", "model=dense", "optimizer.lr=-1"], "optimizer cannot be made ("),
        (["data=digits", "data.splitting.how=middle"], "data.splitting.how `middle` is unknown"),
        (["data=mnist", "data.root=/nowhere", "data.mirrors=[]"], "no mirror is set"),
        (["-m", "data=digits", "cap.max_params=5"], "in its smallest model, over the cap of 5"),
        (["data=digits", "cap.max_ram_bytes=9"], "model `squeeze` has 62,720 bytes of RAM, 62,711 over the cap; expected at most 9"),
        (["-m", "data=digits", "cost=macs", "cap.max_ram_bytes=9"],
         "search space has 12,544 bytes of RAM in its smallest model, over the cap of 9; expected room"),
        (["-m", "data=digits", "cost=joules"], "cost `joules` is"),
        (["data=digits", "cost=joules"], "cost `joules` is"),
        (["-m", "data=digits", "cap.max_macs=1k"], "cap.max.macs `1k` is invalid; expected a whole number of at least 1"),
        (["-m", "data=digits", "cost=macs", "cap.min_params=9"], "cap.min_params `9` says nothing of a front over macs; expected null"),
        (["-m", "data=digits", "model=dense", "hydra.sweeper.direction=up"], "direction `up` is unknown"),
        ([*SWEEP, "hydra.sweeper.pruner={_target_: optuna.pruners.MedianPruner}"],
         "pruner `optuna.pruners.MedianPruner` prunes by one objective, and this sweep has 2; expected none"),
        ([*SWEEP, "hydra.sweeper.race.eta=3", "hydra.sweeper.direction=maximize"],
         "race `eta=3` ranks trials by a cost and a score, and this sweep has directions ['maximize']"),
        ([*SWEEP, "hydra.sweeper.direction=maximize"], "sampler `front` weighs a counted cost against a score, and this study has directions ['maximize'] and a count"),
        ([*SWEEP, "hydra.sweeper.cap={max: 5, count: null}"],
         "cap.max `5` has nothing to count with; expected a function; set hydra.sweeper.cap.count"),
        ([*SWEEP, "hydra.sweeper.cap.count=paretune.nothing"], "cap.count `paretune.nothing` cannot be imported ("),
        ([*SWEEP, "hydra.sweeper.n_jobs=0"], "n_jobs `0` is invalid; expected a whole number of at least 1; set hydra.sweeper.n_jobs"),
        ([*SWEEP, "test=true", "hydra.sweeper.cap={max: null, count: null}", "hydra/sweeper/sampler=random", "hydra.sweeper.n_trials=1"],
         "stops: 1 trials of 1 failed, more than the share 0.3 it allows; trial 0: ConfigError: test `true` would let a sweep"),
        ([*SWEEP, "hydra.sweeper.retry=-1"], "retry `-1` is invalid; expected a whole number of at least 0; set hydra.sweeper.retry"),
        (["-m", "data=digits", "model=dense", "test=true", "hydra.sweeper.n_trials=1"], "test `true` would let a sweep see the test set"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_on_stderr_and_exit_code_two(command, arguments, message):
    answer = command(*arguments)

    assert answer.code == 2
    assert message in answer.err
    assert "failed" in message or not list((paths.store() / "outputs").glob("*/0"))  # no trial began
    assert "Traceback" not in answer.err


def test_the_config_file_of_a_run_is_plain_yaml(command, tmp_path):
    command(*QUICK)
    (path,) = (tmp_path / "store" / "artifacts").rglob("config.yaml")

    assert yaml.safe_load(path.read_text())["data"]["splitting"]["train_size"] == 200


def test_help_does_not_import_the_heavy_libraries():
    code = "import sys, paretune.train, paretune.pareto; print([m for m in ('torch', 'mlflow', 'optuna') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
