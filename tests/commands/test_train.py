"""The command ``paretune train``, run for real on digits."""

import signal
import subprocess
import sys

import pytest
import yaml

from paretune import paths
from paretune.commands.train import cli
from paretune.tracking import Store
from paretune.tracking.runs import find_runs
from paretune.training import load
from paretune.training.execution import MEMORY_FORMATS

QUICK = (
    "data=digits",
    "data.splitting.train_size=200",
    "trainer.max_epochs=1",
    "model=dense",
)


def test_a_single_run_is_recorded_with_its_weights(command, tmp_path):
    answer = command(*QUICK, "test=true")
    store = Store(f"sqlite:///{tmp_path}/store/mlflow.db")
    (run,) = find_runs(store, {"kind": "run"})
    (weights,) = (tmp_path / "store" / "artifacts").rglob("weights.pt")

    assert answer.code == 0, answer.err
    assert (
        "Next: paretune train -m data=digits data.splitting.train_size=200 "
        "model=dense hydra.sweeper.n_trials=50"
    ) in answer.out
    assert run.info.status == "FINISHED"
    assert {"n_params", "val_f1", "test_f1", "images_per_s"} <= set(run.data.metrics)
    assert run.data.tags["layout"].split("/")[0] in MEMORY_FORMATS
    assert load(weights)[1]["model"]["widths"] == [64, 64, 32]


def test_a_model_over_the_cap_stops_before_anything_is_built_or_read(command, tmp_path):
    """The data set named here does not exist on disk: it is never looked for."""
    (tmp_path / "store" / "mlflow.db").unlink()
    answer = command(
        "model=conv",
        "model.widths=[64,64]",
        "cap.max_params=1000",
        "data.root=/nowhere",
    )

    assert answer.code == 2
    expected = (
        "paretune train: model `conv` has 68,938 parameters, 67,938 over the cap of "
        "1,000; "
    )
    assert answer.err.splitlines() == [
        expected + "make it smaller or raise cap.max_params"
    ]
    assert not (tmp_path / "store" / "mlflow.db").exists()


SWEEP = ("-m", "data=digits", "model=dense")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["model.widhts=[3]"],
            (
                "setting `model.widhts` is unknown; expected one that --cfg job "
                "shows; correct its name"
            ),
        ),
        (
            ["model=resnet"],
            ("model `resnet` is unknown; expected one of conv, dense, inception, "),
        ),
        (
            ["scheduler=cosin"],
            (
                "scheduler `cosin` is unknown; expected one of constant, cosine, "
                "one_cycle, plateau, step; did you mean cosine?"
            ),
        ),
        (
            ["+recipe=era_99"],
            "recipe `era_99` is unknown; expected one of delonghi_cnn, era_01, ",
        ),
        (
            ["hydra/sweeper/sampler=tp"],
            "hydra/sweeper/sampler `tp` is unknown; expected one of cmaes, front, ",
        ),
        (["sweeps=nosuch"], "sweeps `nosuch` is unknown; expected one of bn_dropout, "),
        (["test=maybe"], "test `maybe` is invalid; expected true or false; set test"),
        (
            ["-m", "test=maybe"],
            "test `maybe` is invalid; expected true or false; set test",
        ),
        (
            ["+foo=1"],
            "setting `foo` is unknown; expected one that --cfg job shows; leave it out",
        ),
        (
            ["-m", "+nane=1"],
            (
                "setting `nane` is unknown; expected one that --cfg job shows; did "
                "you mean name?"
            ),
        ),
        (
            ["model.widths=4"],
            (
                "model.widths `4` is invalid; expected a list such as [4,8]; set "
                "model.widths"
            ),
        ),
        (
            ["optimizer=adam", "optimizer.weight_decay=none"],
            "optimizer.weight_decay `none` is invalid; expected a number",
        ),
        (
            ["optimizer.lr=fast"],
            (
                "optimizer.lr `fast` is invalid; expected a number of at least 0, or "
                "null; set optimizer.lr"
            ),
        ),
        (
            ["trainer.precision=fp8"],
            (
                "trainer.precision `fp8` is unknown; expected one of fp32, bf16, "
                "null; set trainer.precision"
            ),
        ),
        (
            ["-m", "hydra.sweeper.sampler=tpe"],
            (
                "hydra.sweeper.sampler `tpe` is no sampler; to choose one of the "
                "group write hydra/sweeper/sampler=tpe"
            ),
        ),
        (
            [*SWEEP, "hydra.sweeper.race.eta=0"],
            (
                "hydra.sweeper.race.eta `0` is invalid; expected a whole number of at "
                "least 2"
            ),
        ),
        (
            [*SWEEP, "hydra.sweeper.race=null"],
            (
                "hydra.sweeper.race `null` is invalid (field 'hydra.sweeper.race' is "
                "not Optional); correct it"
            ),
        ),
        (
            [*SWEEP, "hydra.sweeper.max_failure_rate=3"],
            (
                "hydra.sweeper.max_failure_rate `3.0` is invalid; expected a number "
                "from 0 to 1"
            ),
        ),
        (
            ["data=digits", "model=conv", "model.norm=layer"],
            (
                "model.norm `layer` is unknown; expected one of batch, group, "
                "instance, none, scalar"
            ),
        ),
        *[
            (
                ["data=digits", f"trainer.max_epochs={value}"],
                (
                    f"trainer.max_epochs `{value}` is invalid; expected a whole "
                    "number of at least 1; set trainer.max_epochs"
                ),
            )
            for value in ("x", "2.5", "true")
        ],
        (
            ["data=digits", "selection.epoch=null"],
            (
                "selection.epoch `None` is unknown; expected best or last; set "
                "selection.epoch"
            ),
        ),
        (
            ["data=digits", "trainer.averaging.decay=1"],
            "trainer.averaging.decay `1.0` is invalid; expected at least 0 and below 1",
        ),
        (
            ["data=digits", "trainer.distillation.wieght=1"],
            (
                "setting `trainer.distillation.wieght` is unknown; expected one that "
                "--cfg job shows; did you mean trainer.distillation.weight?"
            ),
        ),
        *[
            ([f"{group}={value}"], f"{group} `{value}` is unknown; expected one of")
            for group, value in (("model", 5), ("data", "true"), ("trainer", 1.5))
        ],
        (["data=digits", "trainer.max_epochs=0"], "trainer.max_epochs `0` is invalid"),
        (
            ["data=digits", "trainer.max_epochs=ten"],
            "trainer.max_epochs `ten` is invalid; expected a whole number of at least 1",
        ),
        (
            ["data=digits", "trainer.device=cuda:x"],
            "trainer.device `cuda:x` is unknown; expected one of auto, cpu, cuda",
        ),
        (
            ["hydra.sweeper.n_trials=3"],
            (
                "`hydra.sweeper.n_trials=3` has no effect on a single training; add -m "
                "to run a sweep"
            ),
        ),
        (
            [*SWEEP, "name=a,b"],
            (
                "name `a,b` cannot be searched; a sweep has one value of it; start "
                "a sweep for each"
            ),
        ),
        (
            [*SWEEP, "cap.max_params=1000,2000"],
            (
                "cap.max_params `1000,2000` cannot be searched; a sweep has one "
                "value of it"
            ),
        ),
        (
            ["--resolve"],
            ("--resolve needs --cfg; write --cfg job --resolve"),
        ),
        (
            ["--epochs", "3"],
            (
                "option `--epochs` is unknown; settings are written NAME=VALUE; did "
                "you mean trainer.max_epochs?"
            ),
        ),
        (["data=folder"], "data.path is missing; set data.path"),
        (
            ["cap=5000"],
            (
                "cap `5000` is invalid; it is a section of settings, such as "
                "cap.max_params"
            ),
        ),
        (
            ["cap.max_params=5k"],
            "cap.max_params `5k` is invalid; expected a whole number of at least 1",
        ),
        (
            ["data=digits", "+trainer.x=1"],
            (
                "setting `trainer.x` is unknown; expected one that --cfg job shows; "
                "did you mean trainer."
            ),
        ),
        (
            ["data=digits", "model=dense", "scheduler=plateau", "scheduler.factor=2"],
            "scheduler cannot be made (",
        ),
        (
            ["data=digits", "model.num_classes=7"],
            (
                "model.num_classes `7` does not fit data `digits`; expected 10; set "
                "model.num_classes"
            ),
        ),
        (
            ["data=digits", "model.image_shape=[1,32,32]"],
            (
                "model.image_shape `[1, 32, 32]` does not fit data `digits`; expected "
                "[1, 28, 28]"
            ),
        ),
        (
            ["data=digits", "data.splitting.train_on_val=true"],
            (
                "data.splitting.train_on_val `true` with selection.epoch `best` would "
                "choose by images that were trained on"
            ),
        ),
        (
            ["data=digits", "data.splitting.train_on_val=true", "selection.epoch=last"],
            (
                "data.splitting.train_on_val `true` with trainer.patience `5` would "
                "choose by images that were trained on"
            ),
        ),
        (
            [*SWEEP, "data.splitting.train_on_val=true"],
            "data.splitting.train_on_val `true` in a sweep would choose by images",
        ),
        (
            ["data=digits", "seed=-1"],
            "seed `-1` is invalid; expected a whole number from 0",
        ),
        (
            ["data=digits", "model=dense", "optimizer=adam", "optimizer.eps=-1"],
            "optimizer cannot be made (",
        ),
        (
            ["data=digits", "data.splitting.how=middle"],
            "data.splitting.how `middle` is unknown",
        ),
        (["data=mnist", "data.root=/nowhere", "data.mirrors=[]"], "no mirror is set"),
        (
            ["-m", "data=digits", "cap.max_params=5"],
            "and already exceeds the cap of 5",
        ),
        (
            ["data=digits", "cap.max_ram_bytes=9"],
            (
                "model `squeeze` has 62,720 bytes of RAM, 62,711 over the cap of 9; "
                "make it smaller or raise cap.max_ram_bytes"
            ),
        ),
        (
            ["-m", "data=digits", "cost=macs", "cap.max_ram_bytes=9"],
            (
                "the smallest model of the search space has 1,936 bytes of RAM and "
                "already exceeds the cap of 9; lower the lower bounds or raise the cap"
            ),
        ),
        (["-m", "data=digits", "cost=joules"], "cost `joules` is"),
        (["data=digits", "cost=joules"], "cost `joules` is"),
        (
            ["-m", "data=digits", "cap.max_macs=1k"],
            (
                "cap.max_macs `1k` is invalid; expected a whole number of at least 1, "
                "or null; set cap.max_macs"
            ),
        ),
        (
            ["-m", "data=digits", "cost=macs", "cap.min_params=9"],
            "cap.min_params `9` has no effect on a front over macs; leave it out",
        ),
        (
            ["-m", "data=digits", "model=dense", "hydra.sweeper.direction=up"],
            "direction `up` is unknown",
        ),
        (
            [*SWEEP, "hydra.sweeper.pruner={_target_: optuna.pruners.MedianPruner}"],
            (
                "pruner `optuna.pruners.MedianPruner` prunes by one objective, and "
                "this sweep has 2; leave it out, and set hydra.sweeper.race.eta"
            ),
        ),
        (
            [*SWEEP, "hydra.sweeper.race.eta=3", "hydra.sweeper.direction=maximize"],
            (
                "race `eta=3` ranks trials by a cost and a score, and this sweep has "
                "directions ['maximize']"
            ),
        ),
        (
            [*SWEEP, "hydra.sweeper.direction=maximize"],
            (
                "sampler `front` weighs a counted cost against a score, and this "
                "study has directions ['maximize'] and a count"
            ),
        ),
        (
            [*SWEEP, "hydra.sweeper.cap={max: 5, count: null}"],
            (
                "cap.max `5` has nothing to count with; name a function in "
                "hydra.sweeper.cap.count"
            ),
        ),
        (
            [*SWEEP, "hydra.sweeper.cap.count=paretune.nothing"],
            "cap.count `paretune.nothing` cannot be imported (",
        ),
        (
            [*SWEEP, "hydra.sweeper.n_jobs=0"],
            (
                "n_jobs `0` is invalid; expected a whole number of at least 1; set "
                "hydra.sweeper.n_jobs"
            ),
        ),
        (
            [
                *SWEEP,
                "test=true",
                "hydra.sweeper.cap={max: null, count: null}",
                "hydra/sweeper/sampler=random",
                "hydra.sweeper.n_trials=1",
            ],
            (
                "stops: 1 trials of 1 failed, more than the share 0.3 it allows; "
                "trial 0: ConfigError: test `true` would let a sweep"
            ),
        ),
        (
            [*SWEEP, "hydra.sweeper.retry=-1"],
            (
                "retry `-1` is invalid; expected a whole number of at least 0; set "
                "hydra.sweeper.retry"
            ),
        ),
        (
            [
                "-m",
                "data=digits",
                "model=dense",
                "test=true",
                "hydra.sweeper.n_trials=1",
            ],
            "test `true` would let a sweep see the test set",
        ),
    ],
)
def test_a_mistake_is_one_line_on_stderr_and_exit_code_two(command, arguments, message):
    answer = command(*arguments)

    assert answer.code == 2
    assert message in answer.err
    # No trial began.
    assert "failed" in message or not list((paths.store() / "outputs").glob("*/0"))
    assert len(answer.err.splitlines()) == 1 + ("failed" in message)


def test_a_weight_without_a_teacher_is_told(command):
    answer = command(*QUICK, "trainer.distillation.weight=0.5")

    assert answer.code == 0, answer.err
    expected = (
        "trainer.distillation.weight `0.5` has no effect while "
        "trainer.distillation.teacher is null; set trainer.distillation.teacher, too"
    )
    assert answer.out.count(expected) == 1


def test_the_config_file_of_a_run_is_plain_yaml(command, tmp_path):
    command(*QUICK)
    (path,) = (tmp_path / "store" / "artifacts").rglob("config.yaml")

    assert yaml.safe_load(path.read_text())["data"]["splitting"]["train_size"] == 200


WRONG = [
    "seed=x",
    "trainer.device=tpu",
    "data.splitting.how=odd",
    "trainer.precision=fp8",
    "optimizer.lr=a",
]
OVER_A_CAP = [
    "cap.max_params=500",
    "cap.max_macs=5",
    "cap.max_ram_bytes=99 cap.dtype=int8",
    "cap.max_flash_bytes=9",
]
OVER_A_CAP += [
    f"{line} data=digits model={family}"
    for line in OVER_A_CAP
    for family in ("inception", "recurrent")
]


@pytest.mark.parametrize("line", [*WRONG, *OVER_A_CAP])
def test_a_wrong_setting_and_a_model_over_the_cap_are_told_before_the_heavy_libraries_are_imported(
    line,
):
    code = (
        "import sys; from paretune.commands.train import cli\n"
        f"sys.argv[1:] = {line.split()}\n"
        "try: cli()\nfinally: print([m for m in ('torch', 'mlflow', 'optuna') if m in "
        "sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stdout.strip()) == (2, "[]")


def test_help_does_not_import_the_heavy_libraries():
    code = (
        "import sys, paretune.commands.train, paretune.pareto; print([m for m in ('torch', "
        "'mlflow', 'optuna') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "[]"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)]
)
def test_a_training_that_is_stopped_says_so_and_ends_as_shells_expect(number, code):
    settings = ["data=digits", "model=dense", "trainer.patience=null"]
    command = [sys.executable, "-W", "ignore", "-m", "paretune", "train", *settings]
    process = subprocess.Popen(
        [*command, "trainer.max_epochs=1000000"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    next(line for line in process.stdout if "epoch 1/" in line)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)

    assert process.returncode == code, err
    assert err.splitlines()[-1] == "paretune train: the training was stopped"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("+recipe=zoo/mnist_194", "expected one of zoo/mnist_149, zoo/mnist_1499, "),
        ("+recipe=mnist_193", "zoo/...; did you mean zoo/mnist_193?"),
        ("+recipe=zo/mnist_193", "zoo/...; did you mean zoo/mnist_193?"),
    ],
)
def test_a_misspelt_recipe_is_told_with_those_of_its_folder(command, line, said):
    answer = command(line)

    assert (answer.code, len(answer.err.splitlines())) == (2, 1)
    assert f"recipe `{line.partition('=')[2]}` is unknown; " in answer.err
    assert said in answer.err


def test_recipes_of_the_working_folder_are_there_too(monkeypatch, tmp_path, answered):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conf/recipe").mkdir(parents=True)
    (tmp_path / "conf/recipe/193.yaml").write_text(
        "# @package _global_\ndefaults: [override /model: conv]\nrecipe: '193'\n"
    )
    answer = answered(cli, "+recipe=193", "--cfg", "job")

    assert answer.code == 0, answer.err
    assert "recipe: '193'" in answer.out
