"""Which of the parameters searched moved the score."""

from collections.abc import Mapping, Sequence
from warnings import catch_warnings, simplefilter

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.importance import FanovaImportanceEvaluator, get_param_importances

__all__ = ["FEWEST", "importances"]

optuna.logging.set_verbosity(optuna.logging.WARNING)  # no line for a study in memory

FEWEST = 12  # trials below which a share says nothing
MOST = 400  # trials that are looked at; the evaluation takes a second for these


def importances(searched: Sequence[Mapping[str, str]], scores: Sequence[float], seed: int = 0) -> dict[str, float]:
    """Share of the scores' variance that each parameter explains, largest first; empty below ``FEWEST`` trials.

    Functional ANOVA on a random forest (Hutter, Hoos and Leyton-Brown 2014, https://proceedings.mlr.press/v32/hutter14.html), as
    Optuna has it, over parameters that every trial has and that differ. ``searched`` holds values as text.
    """
    names = [name for name in (searched[0] if searched else ()) if all(name in one for one in searched)]
    columns = {name: _column([one[name] for one in searched]) for name in names}
    columns = {name: column for name, column in columns.items() if len(set(column[0])) > 1}
    if len(searched) < FEWEST or not columns:
        return {}
    study = optuna.create_study(direction="maximize")
    rows = np.random.default_rng(seed).permutation(len(searched))[:MOST]
    space: dict[str, BaseDistribution] = {name: distribution for name, (_, distribution) in columns.items()}
    for row in rows:
        params = {name: values[row] for name, (values, _) in columns.items()}
        study.add_trial(optuna.trial.create_trial(params=params, distributions=space, value=scores[row]))
    with catch_warnings():
        simplefilter("ignore")
        return get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=seed))


def _column(texts: Sequence[str]) -> tuple[list[float] | list[str], BaseDistribution]:
    try:
        numbers = [float(text) for text in texts]
    except ValueError:
        return list(texts), CategoricalDistribution(sorted(set(texts)))
    return numbers, FloatDistribution(min(numbers), max(numbers))
