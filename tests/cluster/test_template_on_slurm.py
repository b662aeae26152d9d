"""An app in the layout of lightning-hydra-template, whose workers Slurm starts."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("cluster")]

TEMPLATE = Path(__file__).parents[1] / "sweeper" / "apps" / "template"
SLURM = (
    "hydra/launcher=submitit_slurm",
    "hydra.launcher.partition=all",
    "hydra.launcher.timeout_min=30",
    "hydra.launcher.cpus_per_task=1",
    "hydra.launcher.mem_gb=null",
)


def test_workers_of_slurm_compose_what_the_command_did(slurm, tmp_path):
    command = [sys.executable, "src/train.py", "hparams_search=front", "model=deep"]
    done = subprocess.run(
        [*command, *SLURM],
        cwd=TEMPLATE,
        env=os.environ | {"LOG_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    folder = tmp_path / "front" / "multiruns"
    overrides = folder / "workers" / "0" / ".hydra" / "overrides.yaml"
    results = yaml.safe_load((folder / "optimization_results.yaml").read_text())

    assert done.returncode == 0, done.stderr
    assert yaml.safe_load(overrides.read_text()) == [
        "hparams_search=front",
        "model=deep",
    ]
    assert results["best_value"] >= 3.0
