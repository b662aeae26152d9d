"""Fixtures that several test files use."""

import logging
import os
import shutil
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
import torch
from filelock import FileLock
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hypothesis import settings
from mlflow import MlflowClient
from omegaconf import DictConfig

from log_files import closing_log_files
from paretune import paths, schema
from paretune.data import fit_to_data
from paretune.data.images import ImageData, Images, Splitting
from paretune.search.interrupts import begin_anew

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("PARETUNE_DATA", ROOT / "data"))

# A shared machine has slow moments, which are no failures; CI tries the same examples
# each time.
settings.register_profile("paretune", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("paretune")


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each test has a store of its own, and Hydra and logging as it found them."""
    monkeypatch.setenv("PARETUNE_STORE", str(tmp_path / "store"))
    monkeypatch.delenv("PARETUNE_DATA", raising=False)
    root, threads = logging.getLogger(), torch.get_num_threads()
    level = root.level
    with closing_log_files():
        yield
    begin_anew()  # a test that stops itself ends nothing else
    GlobalHydra.instance().clear()
    HydraConfig.instance().cfg = None
    root.setLevel(level)
    torch.set_num_threads(threads)
    os.environ.pop("HYDRA_FULL_ERROR", None)


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], None]:
    """Puts an empty MLflow database at a path: making its tables takes two seconds,
    copying them none.
    """
    # Xdist's workers share it.
    made = tmp_path_factory.getbasetemp().parent / "migrated.db"
    with FileLock(f"{made}.lock"):
        if not made.exists():
            MlflowClient(f"sqlite:///{made}.partial").search_experiments()
            with closing(sqlite3.connect(f"{made}.partial")) as connection:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            Path(f"{made}.partial").rename(made)

    def put(path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(made, path)

    return put


@pytest.fixture
def composed() -> Callable[..., DictConfig]:
    """Composes ``conf/train.yaml`` with overrides; the model takes MNIST's images,
    unless it says which.
    """

    def make(*overrides: str, hydra: bool = False) -> DictConfig:
        config = deepcopy(_composed(overrides, hydra))
        config.model = {
            **config.model,
            **fit_to_data(
                config.model, {"image_shape": [1, 28, 28], "num_classes": 10}
            ),
        }
        return config

    return make


@cache
def _composed(overrides: tuple[str, ...], hydra: bool) -> DictConfig:
    schema.register()
    with initialize_config_dir(str(paths.CONF), version_base="1.3"):
        return compose("train", overrides=list(overrides), return_hydra_config=hydra)


@dataclass(frozen=True)
class Answer:
    """What a command left behind."""

    code: int
    out: str
    err: str


@pytest.fixture
def answered(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., Answer]:
    """Calls a command's function in this process, with arguments as the shell would
    give them.
    """

    def run(cli: Callable[[], None], *arguments: str) -> Answer:
        monkeypatch.setattr(sys, "argv", ["paretune", *arguments])
        capfd.readouterr()
        try:
            cli()
            code = 0
        except SystemExit as leaving:
            code = int(leaving.code or 0)
        out, err = capfd.readouterr()
        return Answer(code, out, err)

    return run


@pytest.fixture
def command(
    monkeypatch: pytest.MonkeyPatch,
    answered: Callable[..., Answer],
    migrated: Callable[[Path], None],
) -> Callable[..., Answer]:
    """Runs ``paretune train`` in this process, in the checkout, as the shell would."""
    from paretune.commands.train import cli

    migrated(paths.store() / "mlflow.db")

    def run(*arguments: str) -> Answer:
        monkeypatch.chdir(ROOT)
        Plugins.instance()
        return answered(cli, *arguments)

    return run


@pytest.fixture
def known_data() -> Callable[[str], Path]:
    """The folder of this machine's data sets, if it has one; a test that needs one
    which is not there is skipped.
    """

    def find(name: str) -> Path:
        if not (DATA / name).is_dir():
            pytest.skip(
                f"{DATA / name} is not there, and this test downloads nothing; set "
                "PARETUNE_DATA"
            )
        return DATA

    return find


@pytest.fixture
def tiny_data() -> ImageData:
    """200 training images of ten easily told classes: class c is a bright row c."""
    labels = torch.arange(300) % 10
    pixels = torch.randint(
        0,
        60,
        (300, 1, 28, 28),
        generator=torch.Generator().manual_seed(0),
        dtype=torch.uint8,
    )
    pixels[torch.arange(300), 0, labels * 2 + 3] = 250
    train, val = Splitting(val_size=100).split(Images(pixels, labels))
    return ImageData("rows", train, val, load_test=lambda: val)
