from pathlib import Path

import pytest

from paretune.tracking import (
    Store,
)


@pytest.fixture
def store(tmp_path: Path, migrated) -> Store:
    migrated(tmp_path / "deep" / "mlflow.db")
    return Store(
        f"sqlite:///{tmp_path}/deep/mlflow.db",
        str(tmp_path / "deep/artifacts"),
        "tests",
    )
