"""Studies that were made without Paretune, by Optuna alone."""

from pathlib import Path

import optuna
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState, create_trial

from paretune.paths import sqlite_url

WIDTH = FloatDistribution(0, 100)


def sqlite(path: Path) -> str:
    return sqlite_url(path)


def add(study: optuna.Study, *rows: tuple[float, ...]) -> None:
    """A complete trial for each row of values; its parameter ``width`` is the first."""
    for row in rows:
        trial = create_trial(
            values=list(row), params={"width": row[0]}, distributions={"width": WIDTH}
        )
        study.add_trial(trial)


def add_failed(study: optuna.Study) -> None:
    study.add_trial(create_trial(state=TrialState.FAIL))


def make_study(
    path: Path,
    *rows: tuple[float, ...],
    name: str = "plain",
    directions: tuple[str, ...] = ("minimize", "maximize"),
    names: tuple[str, ...] = (),
) -> optuna.Study:
    """A study in the SQLite file ``path`` with a complete trial for each row."""
    study = optuna.create_study(
        study_name=name, storage=sqlite(path), directions=directions
    )
    if names:
        study.set_metric_names(list(names))
    add(study, *rows)
    return study
