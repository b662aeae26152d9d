"""A sweep of anybody's app in anybody's MLflow store.

>>> # hydra.sweeper.recorder={_target_: paretune.mlflow.SweepRecorder}
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from paretune.mlflow.recorder import SweepRecorder

__all__ = ["SweepRecorder"]


def __getattr__(name: str) -> Any:
    # MLflow imports ``context`` beside it in every process, which needs no pandas.
    if name != "SweepRecorder":
        raise AttributeError(f"module `{__name__}` has no `{name}`")
    from paretune.mlflow.recorder import SweepRecorder

    return SweepRecorder
