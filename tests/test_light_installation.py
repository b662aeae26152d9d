"""A plain ``pip install`` of the wheel, without an extra, in an environment of its own."""

import csv
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("light_installation")]
ROOT = Path(__file__).parents[1]
CAPPED = ROOT / "tests" / "sweeper" / "apps" / "capped"
HEAVY = ("torch", "mlflow", "pytorch_lightning", "onnx", "onnxruntime", "torchmetrics")


@dataclass(frozen=True)
class Light:
    """The environment, and the folder of an app in which its programs run."""

    bin: Path
    app: Path

    def run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        env = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PARETUNE_", "PYTHON", "HYDRA_"))
        }
        return subprocess.run(
            [self.bin / program, *arguments],
            cwd=self.app,
            env=env | {"COLUMNS": "120"},
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture(scope="module")
def light(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Light]:
    folder = tmp_path_factory.mktemp("light")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    build = ["wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, ROOT]
    subprocess.run([*pip, *build], check=True)
    venv.create(folder / "venv", symlinks=True)
    (wheel,) = folder.glob("*.whl")
    python = folder / "venv/bin/python"
    installed = subprocess.run(
        [*pip, "--python", python, "install", wheel], check=False, capture_output=True
    )
    if installed.returncode != 0:
        pytest.skip("needs a package index")
    shutil.copytree(CAPPED, folder / "app")
    yield Light(folder / "venv/bin", folder / "app")
    shutil.rmtree(folder)


@pytest.mark.parametrize("package", HEAVY)
def test_nothing_heavy_comes_with_it(light, package):
    assert light.run("python", "-c", f"import {package}").returncode == 1


@pytest.mark.parametrize(
    "module",
    [
        "paretune",
        "paretune.pareto",
        "hydra_plugins.paretune_sweeper.sweeper",
        "hydra_plugins.paretune_sweeper._session",
        "paretune.search.front_sampler",
        "paretune.reports.page",
    ],
)
def test_what_sweeps_and_reports_is_imported(light, module):
    done = light.run("python", "-c", f"import {module}")

    assert done.returncode == 0, done.stderr


def test_an_app_is_swept_under_a_cap_and_its_front_is_reported(light):
    swept = light.run("python", "app.py", "-m")
    assert swept.returncode == 0, swept.stderr
    reported = light.run(
        "paretune", "pareto", "--study", "optuna.db", "--over", "width"
    )
    assert reported.returncode == 0, reported.stderr
    report = light.app / "pareto" / "capped"
    with (report / "front.csv").open() as stream:
        front = list(csv.DictReader(stream))

    assert "of 30 complete trials are on the" in reported.stdout
    assert max(float(row["values_size"]) for row in front) <= 500
    assert (report / "report.html").stat().st_size > 1_000_000


def test_several_workers_need_no_extra(light):
    more = ("hydra.sweeper.study_name=two", "hydra.sweeper.n_jobs=2")
    swept = light.run("python", "app.py", "-m", *more, "hydra.sweeper.n_trials=6")

    assert swept.returncode == 0, swept.stderr
    assert "6 of 6 done" in swept.stderr + swept.stdout


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("train data=digits", "train needs torch; install it with: pip install 'paret"),
        ("ui", "ui needs mlflow; install it with: pip install 'paretune[mlflow]'"),
        ("export a b.onnx", "export needs torch; install it with"),
        (
            "predict b.onnx c.png",
            "predict needs onnxruntime; install it with: pip inst",
        ),
        (
            "pareto a --uri http://127.0.0.1:1",
            "paretune pareto: the package mlflow is ",
        ),
    ],
)
def test_a_command_without_its_extra_is_one_line(light, line, said):
    done = light.run("paretune", *line.split())

    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_sampler_without_its_extra_is_one_line(light):
    done = light.run("python", "app.py", "-m", "hydra/sweeper/sampler=gp")

    assert done.returncode == 1
    assert "sampler=gp needs torch; install it with: pip install" in done.stderr
    assert "Traceback" not in done.stderr
