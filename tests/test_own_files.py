"""Files of one's own, sweeps/NAME.yaml and conf/model/NAME.yaml, and what people get
wrong in them.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from data.test_idx import idx_bytes
from messy import two_classes
from paretune import paths
from paretune.commands.entry_point import main
from paretune.tracking import Store
from paretune.tracking.runs import find_runs, find_trials

SWEEP = """
# @package _global_
defaults: [override /data: digits, override /model: dense]
data: {splitting: {train_size: 200}}
trainer: {max_epochs: 1, autotune: false}
hydra: {mode: MULTIRUN, sweeper: {n_trials: 1}}
"""
Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(monkeypatch, tmp_path, answered, migrated) -> Run:
    """Runs ``paretune`` in a folder that holds ``sweeps/mine.yaml``; returns the exit
    code and what stderr says.
    """
    migrated(paths.store() / "mlflow.db")
    monkeypatch.chdir(tmp_path)
    Path("sweeps").mkdir()

    def of_command(command: str, sweep: str = SWEEP) -> tuple[int, str]:
        Path("sweeps/mine.yaml").write_text(sweep)
        answer = answered(main, *command.split())
        return answer.code, answer.err

    return of_command


def test_a_sweep_without_a_name_has_that_of_its_file_which_may_be_given_as_a_path(run):
    assert run("sweep sweeps/mine.yaml -m")[0] == 0
    assert [
        trial.data.tags["state"]
        for trial in find_trials(Store(paths.tracking_uri(paths.store())), "mine")
    ] == ["complete"]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (
            "cap: {max_param: 3000}",
            (
                "setting `cap.max_param` is unknown; expected one that --cfg job "
                "shows; did you mean cap.max_params?"
            ),
        ),
        (
            "cap: {max_params: 3k}",
            (
                "cap.max_params `3k` is invalid; expected a whole number of at least "
                "1, or null"
            ),
        ),
        (
            "cap: {max_params: 5",
            (
                "mine.yaml` is not YAML (line 7, column 20: expected ',' or '}', "
                "but got '<stream end>'); correct it"
            ),
        ),
        (
            "space: {optimiser.lr: 'interval(0.1,1)'}",
            (
                "setting `optimiser.lr` is unknown; expected one that --cfg job "
                "shows; did you mean optimizer.lr?"
            ),
        ),
    ],
)
def test_a_mistake_in_a_sweep_is_one_line_and_no_trial_begins(run, lines, said):
    code, err = run("sweep mine", SWEEP + lines)

    assert code == 2
    assert said in err
    assert len(err.splitlines()) == 1
    assert not list((paths.store() / "outputs").glob("*/0"))


NET = """
from torch import nn
class Mine(nn.Sequential):
    def __init__(self, *, width=4, image_shape=(1, 28, 28), num_classes=10, **_):
        super().__init__(nn.Flatten(), nn.Linear(784, width), nn.ReLU(), nn.Linear(width, num_classes))
"""
MINE = """
# @package _global_
model: {_target_: net_of_mine.Mine, width: 4, image_shape: null, num_classes: null}
space: {model.width: 'int(interval(2, 6))'}
"""


def test_a_family_of_the_folder_is_swept_confirmed_and_exported_like_any_other(
    run, monkeypatch
):
    """What its YAML names is trusted; where that is gone the user names the module."""
    monkeypatch.delitem(sys.modules, "net_of_mine", raising=False)
    Path("net_of_mine.py").write_text(NET)
    Path("conf/model").mkdir(parents=True)
    Path("conf/model/mine.yaml").write_text(MINE)
    assert run("sweep mine", SWEEP.replace("dense", "mine"))[0] == 0
    assert run("confirm mine --seeds 1")[0] == 0
    assert run("export mine models")[0] == 0

    Path("conf/model/mine.yaml").unlink()
    code, err = run("export mine models")
    assert (code, "only if you know it, add --trust net_of_mine" in err) == (2, True)
    assert run("export mine models --trust net_of_mine")[0] == 0
    assert run("confirm mine --seeds 2 --trust net_of_mine")[0] == 0


def test_a_teacher_is_of_code_that_the_folder_or_the_user_names(run, monkeypatch):
    monkeypatch.delitem(sys.modules, "net_of_mine", raising=False)
    Path("net_of_mine.py").write_text(NET)
    model = "data=digits trainer.max_epochs=1 data.splitting.train_size=200 model=dense"
    assert run(f"train {model} model._target_=net_of_mine.Mine")[0] == 0
    (teacher,) = paths.store().glob("outputs/runs/*/weights.pt")
    taught = f"train {model} trainer.distillation.teacher={teacher}"

    code, err = run(taught)
    assert (code, "model._target_ `net_of_mine.Mine`; none of it was run" in err) == (
        2,
        True,
    )
    assert run(f"{taught} trust=[net_of_mine]")[0] == 0


def test_a_model_that_has_the_name_of_one_of_paretunes_is_refused(run):
    Path("conf/model").mkdir(parents=True)
    Path("conf/model/conv.yaml").write_text(
        "# @package _global_\nmodel: {_target_: my_models.MyNet}"
    )

    code, err = run("train model=conv")

    assert code == 2
    assert err.startswith(
        "paretune train: config `conf/model/conv.yaml` is shadowed by "
        "Paretune's own config of that name; rename it"
    )


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (
            "import no_such_thing",
            (
                "cannot be imported (problem in nets_20 - ModuleNotFoundError: No "
                "module named"
            ),
        ),
        (
            (
                "from torch import nn\nclass Net(nn.Linear):\n    def __init__(self, "
                "**_): super().__init__(28, 5)"
            ),
            (
                "model `net` gives values (2, 1, 28, 5) of 2 images; expected logits "
                "(2, 10); correct its forward"
            ),
        ),
    ],
)
def test_a_network_of_ones_own_that_does_not_work_is_one_line(run, code, said):
    # A name that no other test has imported.
    Path(f"nets_{len(code)}.py").write_text(code)
    exit_code, err = run(
        f"train data=digits model=dense model._target_=nets_{len(code)}.Net"
    )

    assert exit_code == 2
    assert said in err


BRIEF = "trainer.max_epochs=1 trainer.batch_size=8 model=dense model.widths=[4]"
CHDIR = "hydra.job.chdir=true"


def write_idx(folder: Path) -> None:
    """Sixty images in the names of a data set, unpacked."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for start in ("train", "t10k"):
        images = rng.integers(0, 256, (60, 28, 28)).astype(np.uint8)
        (folder / f"{start}-images-idx3-ubyte").write_bytes(idx_bytes(images))
        (folder / f"{start}-labels-idx1-ubyte").write_bytes(
            idx_bytes(np.arange(60, dtype=np.uint8) % 10)
        )


@pytest.mark.parametrize(
    "how",
    [
        "",
        pytest.param(
            "-m hydra.sweeper.n_trials=1 trainer.autotune=false name=moved",
            marks=pytest.mark.slow,
        ),
    ],
)
@pytest.mark.parametrize(
    "data",
    [
        "data=folder data.path=pictures",
        "data=kmnist data.root=own data.splitting.val_size=20",
    ],
)
def test_relative_paths_start_in_the_folder_of_the_command_also_if_jobs_have_their_own(
    run, monkeypatch, tmp_path, how, data
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    two_classes(Path("pictures"))
    write_idx(Path("own/kmnist"))
    code, said = run(f"train {how} {data} {BRIEF} {CHDIR}")
    (done,) = find_runs(
        Store(paths.tracking_uri(paths.store())), {"kind": "trial" if how else "run"}
    )

    assert (code, done.info.status) == (0, "FINISHED"), said


@pytest.mark.slow
def test_a_model_and_a_store_of_ones_own_are_found_if_jobs_have_their_own_folder(run):
    Path("conf/model").mkdir(parents=True)
    dense = (paths.CONF / "model/dense.yaml").read_text()
    Path("conf/model/mine.yaml").write_text(dense)
    line = (
        "train data=digits data.splitting.train_size=200 "
        f"{BRIEF.replace('dense', 'mine')} {CHDIR} tracking.uri=sqlite:///own.db"
    )

    assert run(line) == (0, "")
    assert Path("own.db").is_file()
