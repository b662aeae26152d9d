"""An app in the layout of lightning-hydra-template: the sweeper stands in a file of
``hparams_search``, not in the app's own config.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from hydra_plugins.paretune_sweeper._deaths import describe_raised
from sweeper.app_processes import APPS, run_app

TEMPLATE = APPS / "template"
RESULTS = Path("front") / "multiruns" / "optimization_results.yaml"


def run(folder: Path, *overrides: str) -> subprocess.CompletedProcess[str]:
    return run_app(TEMPLATE, folder, *overrides)


def read_overrides(folder: Path) -> list[str]:
    """The overrides that a job of Hydra was composed with."""
    text = (folder / ".hydra" / "overrides.yaml").read_text()
    overrides: list[str] = yaml.safe_load(text)
    return overrides


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_sweep_of_a_file_of_hparams_search_runs(tmp_path, n_jobs):
    done = run(tmp_path, f"hydra.sweeper.n_jobs={n_jobs}")
    results = yaml.safe_load((tmp_path / RESULTS).read_text())

    assert done.returncode == 0, done.stderr
    assert results["best_params"].keys() == {"model.width", "model.optimizer.lr"}
    assert (tmp_path / "front" / "multiruns" / "5" / ".hydra").is_dir()


def test_workers_compose_what_the_command_did(tmp_path):
    done = run(tmp_path, "model=deep", "data.batch_size=16")
    worker = tmp_path / "front" / "multiruns" / "workers" / "0"

    assert done.returncode == 0, done.stderr
    assert read_overrides(worker) == [
        "hparams_search=front",
        "model=deep",
        "data.batch_size=16",
    ]


@pytest.mark.slow
def test_workers_of_submitit_compose_what_the_command_did(tmp_path):
    done = run(tmp_path, "model=deep", "hydra/launcher=submitit_local")
    worker = tmp_path / "front" / "multiruns" / "workers" / "0"

    assert done.returncode == 0, done.stderr
    assert read_overrides(worker) == ["hparams_search=front", "model=deep"]


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_group_without_a_default_may_be_searched(tmp_path, n_jobs, monkeypatch):
    app = tmp_path / "app"
    shutil.copytree(TEMPLATE, app)
    config = app / "configs" / "train.yaml"
    config.write_text(config.read_text().replace("model: small", "model: ???"))
    monkeypatch.setitem(globals(), "TEMPLATE", app)

    done = run(tmp_path, "model=choice(small,deep)", f"hydra.sweeper.n_jobs={n_jobs}")
    results = yaml.safe_load((tmp_path / RESULTS).read_text())

    assert done.returncode == 0, done.stderr
    assert results["best_params"]["model"] in {"small", "deep"}


# What the app holds cannot be read in another process.
APP = """
import hydra

class Licence:
    def __reduce__(self):
        return refuse, ()

def refuse():
    raise RuntimeError("no licence\\n  on this node")

licence = Licence()

@hydra.main(version_base="1.3", config_path=".", config_name="config")
def main(config):
    return float(bool(licence))

if __name__ == "__main__":
    main()
"""
CONFIG = """
defaults: [_self_, {override hydra/sweeper: paretune}]
x: 1
hydra: {sweeper: {n_jobs: 2, n_trials: 2, params: {x: 'range(1, 9)'}}}
"""


def test_the_command_shows_what_its_workers_die_of(tmp_path):
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "config.yaml").write_text(CONFIG)
    command = [sys.executable, "app.py", "-m"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert done.returncode != 0
    assert "ended early (RuntimeError: no licence on this node)" in done.stdout
    assert "died 3 times before it began a trial; the last lines of" in done.stderr
    assert "RuntimeError: no licence\n      on this node\n" in done.stderr


@pytest.mark.parametrize(
    ("traceback", "said"),
    [
        ('  File "a.py", line 1\n    f()\n    ^^^\nValueError: bad', "ValueError: bad"),
        (
            '  File "a.py"\n    f()\nmy.Error: bad\n    key: x\nmore',
            "my.Error: bad key: x more",
        ),
        ("KeyError", "KeyError"),
        (
            '  File "a.py", line 1\n    f()\nValueError: bad\n------\nsee the logs',
            "ValueError: bad",
        ),
    ],
)
def test_what_an_error_says_is_found_in_its_traceback(traceback, said):
    assert describe_raised(traceback) == said
