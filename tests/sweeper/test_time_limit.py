"""Workers on this machine have no time limit, unless somebody set one."""

from pathlib import Path

import pytest
from hydra._internal.callbacks import Callbacks
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path
from hydra.core.config_store import ConfigStore
from hydra.types import HydraContext, RunMode

from hydra_plugins.paretune_sweeper import _launching
from paretune import paths, schema

SWEEP = """
# @package _global_
defaults: [override /hydra/launcher: submitit_local]
hydra: {launcher: {%s}}
"""
LOCAL = "hydra/launcher=submitit_local"


@pytest.mark.parametrize(
    ("typed", "in_file", "is_set"),
    [
        ([LOCAL], "", False),
        ([LOCAL, "hydra.launcher.timeout_min=60"], "", True),
        ([LOCAL, "hydra.launcher.timeout_min=30"], "", True),
        (["sweeps=mine"], "cpus_per_task: 1", False),
        (["sweeps=mine"], "timeout_min: 60", True),
        (
            [
                "sweeps=mine",
                "hydra.launcher.timeout_min=60",
                "model=choice(conv,dense)",
            ],
            "timeout_min: 90",
            True,
        ),
    ],
)
def test_an_hour_that_somebody_set_is_told_from_the_default(
    tmp_path, monkeypatch, typed, in_file, is_set
):
    monkeypatch.chdir(tmp_path)
    Path("sweeps").mkdir()
    Path("sweeps/mine.yaml").write_text(SWEEP % in_file)
    schema.register()
    hydra = Hydra.create_main_hydra2(
        "train", create_config_search_path(str(paths.CONF))
    )
    config = hydra.compose_config("train", typed, run_mode=RunMode.MULTIRUN)
    context = HydraContext(config_loader=hydra.config_loader, callbacks=Callbacks())

    assert _launching.has_time_limit(context, config) is is_set
    assert (
        ConfigStore.instance()
        .load("hydra/launcher/submitit_local.yaml")
        .node.timeout_min
        == 60
    )
