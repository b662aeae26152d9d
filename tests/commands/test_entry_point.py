"""``paretune`` as a command: by its subcommands, in a shell that completes, and from a
wheel in a folder of one's own.
"""

import csv
import os
import re
import signal
import subprocess
import sys
import sysconfig
import time
import urllib.request
import venv
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image

from paretune import __version__
from paretune.commands.entry_point import main
from paretune.commands.table import COMMANDS
from server import free_port

ROOT = Path(__file__).parents[2]


def test_alone_it_lists_its_commands_and_imports_nothing_heavy():
    heavy = "('torch', 'mlflow', 'optuna', 'hydra', 'numpy', 'rich')"
    code = (
        "import sys; from paretune.commands.entry_point import main; main(); print([m for m in "
        f"{heavy} if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    lines = done.stdout.splitlines()

    assert [line.split()[0] for line in lines if line.startswith("  ")] == list(
        COMMANDS
    )
    assert lines[-1] == "[]"


def test_python_m_paretune_says_the_version():
    done = subprocess.run(
        [sys.executable, "-m", "paretune", "--version"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout == f"paretune {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            "tarin",
            (
                "paretune: command `tarin` is unknown; expected one of "
                f"{', '.join(COMMANDS)}; did you mean train?"
            ),
        ),
        (
            "data=digits",
            (
                "argument `data=digits` stands before the command; the commands are "
                f"{', '.join(COMMANDS)}; for instance: paretune train data=digits"
            ),
        ),
        ("sweep digits_dmo", "did you mean digits_demo?"),
        ("worker digits_dmo", "did you mean digits_demo?"),
        (
            "sweep",
            (
                "paretune sweep: sweep `` is not a name; the first argument is one of bn_dropout, "
                "dense_grid, "
            ),
        ),
        (
            "worker",
            "paretune worker: the sweep is missing; give the arguments that it was ",
        ),
        (
            "pareto a b",
            (
                "paretune pareto: unrecognized arguments: b; paretune pareto --help "
                "says more"
            ),
        ),
        ("sweep seed=3", "sweep `seed=3` is not a name"),
        (
            "-sc install=tcsh",
            (
                "completion `install=tcsh` is unknown; write install, uninstall or "
                "query of bash, fish or zsh"
            ),
        ),
        (
            "ui --store nowhere",
            "paretune ui: tracking store `nowhere/mlflow.db` does not exist",
        ),
        (
            "ui --uri http://127.0.0.1:1",
            "--uri `http://127.0.0.1:1` is a server, which has a UI of its own",
        ),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_two(monkeypatch, capsys, arguments, said):
    monkeypatch.setattr(sys, "argv", ["paretune", *arguments.split()])
    with pytest.raises(SystemExit, match="2"):
        main()
    err = capsys.readouterr().err

    assert said in err
    assert len(err.splitlines()) == 1


TINY = [
    "data=digits",
    "data.splitting.train_size=200",
    "model=dense",
    "trainer.max_epochs=1",
    "trainer.autotune=false",
]


def test_paretune_sweep_goes_on_with_what_paretune_train_began(
    command, monkeypatch, capfd
):
    settings = ["sweeps=digits_demo", *TINY, "hydra.sweeper.n_trials=1"]
    began = command(*settings)
    monkeypatch.setattr(
        sys, "argv", ["paretune", "sweep", "digits_demo", *settings[1:]]
    )
    main()

    assert began.code == 0
    assert began.out.splitlines()[-1].endswith(" Next: paretune pareto digits_demo")
    assert all(
        re.match(r"\d\d:\d\d:\d\d [\w]", line) for line in began.out.splitlines()
    )

    assert (
        "sweep digits_demo is complete: 1 trials are finished" in capfd.readouterr().out
    )


@pytest.fixture(scope="module")
def completed(tmp_path_factory) -> Callable[[str], list[str]]:
    """What bash offers for a line that is typed in the checkout, by the script that
    ``paretune -sc install=bash`` prints.
    """
    folder = tmp_path_factory.mktemp("bin")
    (folder / "paretune").write_text(
        f"#!{sys.executable}\nfrom paretune.commands.entry_point import main\nmain()\n"
    )
    (folder / "paretune").chmod(0o755)
    typed = """
        eval "$(paretune -sc install=bash)"
        function=$(complete -p paretune | grep -o "[^ ]* paretune$")
        COMP_LINE=$1 COMP_POINT=${#1}
        COMP_WORDS=($1)
        COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
        ${function% *}
        echo ${COMPREPLY[@]}
    """

    def complete(line: str) -> list[str]:
        env = os.environ | {"PATH": f"{folder}:{os.environ['PATH']}"}
        shell = ["bash", "-c", typed, "bash", line]
        return subprocess.run(
            shell, cwd=ROOT, env=env, capture_output=True, text=True, check=True
        ).stdout.split()

    return complete


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("paretune p", ["pareto", "predict"]),
        ("paretune sweep record_f", ["record_fashion"]),
        ("paretune confirm record_f", ["record_fashion"]),
        ("paretune pareto record_fashion --max-p", ["--max-params"]),
        ("paretune confirm --recipe zoo/mnist_193", ["zoo/mnist_193"]),
        ("paretune ui --st", ["--store"]),
        ("paretune train model=sq", ["model=squeeze"]),
        ("paretune train +recipe=zoo/mnist_193", ["+recipe=zoo/mnist_193"]),
        ("paretune sweep record optimizer=adamw trainer.max", ["trainer.max_epochs="]),
    ],
)
def test_bash_completes(completed, line, offered):
    assert completed(line) == offered


MODELS = """
from torch import nn


class MyNet(nn.Sequential):
    def __init__(self, *, units=8, image_shape=(1, 28, 28), num_classes=10):
        super().__init__(nn.AvgPool2d(4), nn.Flatten(), nn.Linear(49, units), nn.ReLU(), nn.Linear(units, num_classes))
"""
MODEL = """
# @package _global_
model: {_target_: my_models.MyNet, units: 8, image_shape: null, num_classes: null}
space: {model.units: 'int(interval(2, 32))'}
"""
SWEEP = """
# @package _global_
defaults: [override /data: digits]
name: mine
cap: {max_params: 1500}
trainer: {max_epochs: 1, autotune: false}
hydra: {sweeper: {n_trials: 2, n_jobs: 2, params: {model: 'choice(mine)'}}}
"""


@dataclass(frozen=True)
class Installed:
    """A wheel of this checkout in an environment of its own, beside the libraries of
    this interpreter, and a user's folder.
    """

    site: Path
    program: Path
    folder: Path
    env: dict[str, str]

    def __call__(self, *arguments: str) -> str:
        """What the command prints, run in the folder."""
        done = subprocess.run(
            [self.program, *arguments],
            cwd=self.folder,
            env=self.env,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def paretune(tmp_path_factory) -> Installed:
    folder, pip = (
        tmp_path_factory.mktemp("wheel"),
        [sys.executable, "-m", "pip", "--quiet"],
    )
    subprocess.run(
        [
            *pip,
            "wheel",
            "--no-deps",
            "--no-build-isolation",
            "--wheel-dir",
            folder,
            ROOT,
        ],
        check=True,
    )
    venv.create(folder / "venv", symlinks=True)
    (wheel,), (site,) = (
        folder.glob("*.whl"),
        folder.glob("venv/lib/python*/site-packages"),
    )
    subprocess.run(
        [*pip, "--python", folder / "venv/bin/python", "install", "--no-deps", wheel],
        check=True,
    )
    # Whose own .pth files, an editable Paretune, are not read.
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib"))
    env = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PARETUNE_", "PYTHON", "HYDRA_"))
    }
    (folder / "empty").mkdir()
    return Installed(
        site, folder / "venv/bin/paretune", folder / "empty", env | {"COLUMNS": "120"}
    )


def test_a_sweep_of_ones_own_builds_on_one_that_paretune_brings(
    monkeypatch, tmp_path, capsys
):
    (tmp_path / "sweeps").mkdir()
    text = (
        "# @package _global_\ndefaults: [record, _self_]\nname: "
        "shorter\ntrainer: {max_epochs: 3}\n"
    )
    (tmp_path / "sweeps/shorter.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["paretune", "sweep", "shorter", "--cfg", "job"])
    main()
    printed = capsys.readouterr().out

    assert "name: shorter" in printed
    assert "max_epochs: 3" in printed
    assert "max_params: 16000" in printed


@pytest.mark.slow
def test_a_wheel_brings_every_config_and_every_sweep(paretune):
    def values(folder: Path) -> set[str]:
        return {
            str(path.relative_to(folder))
            for part in ("conf", "sweeps")
            for path in (folder / part).rglob("*.yaml")
        }

    assert values(paretune.site / "paretune") == values(ROOT)
    assert not list((paretune.site / "paretune/sweeps").glob("*/"))


@pytest.mark.slow
def test_a_wheel_brings_the_sources_of_the_kernels(paretune):
    """They are compiled where they are used."""
    installed = paretune.site / "paretune/batch_last/kernels"
    sources = ROOT / "src/paretune/batch_last/kernels"

    assert {path.name for path in installed.iterdir()} == {
        path.name for path in sources.iterdir()
    }


@pytest.mark.slow
def test_a_wheel_trains_and_sweeps_in_an_empty_folder(paretune):
    assert "parameters: validation F1" in paretune("train", *TINY)
    assert "name: record" in paretune("sweep", "record", "--cfg", "job")
    assert {path.name for path in paretune.folder.iterdir()} == {"mlruns"}


@pytest.mark.slow
def test_a_sweep_of_ones_own_replaces_the_one_that_paretune_brings(paretune):
    (paretune.folder / "sweeps").mkdir(exist_ok=True)
    (paretune.folder / "sweeps/record.yaml").write_text(
        "# @package _global_\nname: my_record\n"
    )

    assert "name: my_record" in paretune("sweep", "record", "--cfg", "job")


@pytest.mark.slow
def test_a_family_of_ones_own_goes_from_the_sweep_to_a_prediction(paretune):
    """Its class is in a module of the folder, which the workers find, too."""
    for name, text in {
        "my_models.py": MODELS,
        "conf/model/mine.yaml": MODEL,
        "sweeps/mine.yaml": SWEEP,
    }.items():
        (paretune.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (paretune.folder / name).write_text(text)
    Image.new("L", (28, 28), 255).save(paretune.folder / "digit.png")
    dotted = (
        "+model={_target_:my_models.MyNet,units:5,image_shape:null,num_classes:null}"
    )

    assert "mynet, 310 parameters: validation F1" in paretune(
        "train", *TINY[:2], *TINY[3:], "~model", dotted
    )
    paretune("sweep", "mine")
    assert "mynet" in paretune("pareto", "mine")
    table = (paretune.folder / "sweeps/mine/front.csv").read_text()
    rows = csv.DictReader(table.splitlines())
    run = next(rows)["run_id"]
    assert "family: mynet" in paretune("export", "mine", "model.onnx", "--run", run)
    assert paretune("predict", "model.onnx", "digit.png").startswith("digit.png: ")


@pytest.mark.slow
def test_paretune_ui_serves_the_store(paretune):
    paretune("train", *TINY)
    port = free_port()
    command = [paretune.program, "ui", "--port", str(port), "--workers", "1"]
    ui = subprocess.Popen(
        command,
        cwd=paretune.folder,
        env=paretune.env,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        runs = served(
            f"http://127.0.0.1:{port}/ajax-api/2.0/mlflow/experiments/get-by-name?experiment_name=paretune"
        )
    finally:
        os.killpg(ui.pid, signal.SIGKILL)
        said, _ = ui.communicate()

    assert '"name": "paretune"' in runs
    assert "metrics.n_params < 5000" in said


def served(address: str) -> str:
    """What the address serves, once it does."""
    for _ in range(240):
        with suppress(OSError), urllib.request.urlopen(address, timeout=5) as answer:
            return str(answer.read().decode())
        time.sleep(0.5)
    raise AssertionError(f"{address} did not answer within two minutes")
