"""Which model of a front to take, where nobody says which: the same one in the terminal,
on the page, in an export and at the end of ``paretune auto``.
"""

import math
from collections.abc import Mapping
from typing import Any

from paretune.errors import StoreError
from paretune.reports.findings import SweepResults
from paretune.scores import ScoreKind
from paretune.tracking.schema import VAL_F1_SE
from paretune.tracking.trial_table import records

Model = Mapping[str, Any]  # a row of the members of a front

# Below the best F1; of another score, of the range on the front. So little is no reason
# for a larger model.
NEAR = 0.005
# Of what lies between chance and a perfect score: a model below it has learned nothing.
LEAST_LEARNED = 0.1


def pick_model(results: SweepResults) -> Model | None:
    """The model of the front to take; ``None`` if all are near chance.

    With a bound, such as ``--max-params``, it is the best that fits. Without one it is
    the smallest whose F1 is near to the best: within 0.005 of it, or within its
    standard error where that is larger.
    """
    members = records(results.members)
    best = members[-1]
    if not _is_usable(best, results):
        return None
    if results.query.most:
        return best
    errors = results.losses_of(results.members)[:, 1]
    most = errors[-1] + _find_tolerance(best, results)
    for model, error in zip(members, errors, strict=True):
        if error <= most and _is_usable(model, results):
            return model
    return best


def pick_or_refuse(results: SweepResults) -> Model:
    """The same; raises :class:`~paretune.errors.StoreError` if there is none."""
    model = pick_model(results)
    if model is None:
        raise StoreError(
            f"sweep `{', '.join(results.sweeps)}` has no model to take: "
            f"{describe_chance(results)}; let it run on, or name one with --run"
        )
    return model


def describe_chance(results: SweepResults) -> str:
    """How near to chance the best model is, in words."""
    best = records(results.members)[-1]
    f1 = best[results.score.column]
    classes = _count_classes(best)
    return (
        f"the best has F1 {f1:.4f}, which is near chance ({1 / classes:.2f} with "
        f"{classes} classes)"
    )


def describe_rule(results: SweepResults) -> str:
    """Why the model was picked, in words."""
    if results.query.most:
        return "the best that fits"
    if results.score.kind is not ScoreKind.SHARE:
        return f"the smallest within {NEAR:.1%} of the front's range of the best"
    error = _standard_error(records(results.members)[-1], results)
    if error > NEAR:
        return f"the smallest within the standard error of the best, {error:.4f}"
    return f"the smallest within {NEAR:g} of the best"


def _find_tolerance(best: Model, results: SweepResults) -> float:
    """How much larger the error of a model may be than that of the best."""
    if results.score.kind is ScoreKind.SHARE:
        return max(NEAR, _standard_error(best, results))
    errors = results.losses_of(results.members)[:, 1]
    return NEAR * float(errors.max() - errors.min())


def _is_usable(model: Model, results: SweepResults) -> bool:
    classes = _count_classes(model)
    if not classes:
        return True
    chance = 1 / classes
    least: float = chance + LEAST_LEARNED * (1 - chance)
    return bool(model[results.score.column] >= least)


def _count_classes(model: Model) -> int:
    """The classes of the data; 0 where no config tells them, as of another app."""
    config: Mapping[str, Any] = model.get("config") or {}
    classes: int = config.get("model", {}).get("num_classes", 0)
    return classes


def _standard_error(model: Model, results: SweepResults) -> float:
    """That of the mean over the seeds, or of the validation F1; 0 where it is not
    known.
    """
    if results.is_study:
        return 0.0
    if results.query.confirmed:
        sd = float(model[f"{results.score.column}_sd"])
        return sd / math.sqrt(model["seeds"])
    error = float(model[VAL_F1_SE])
    return 0.0 if math.isnan(error) else error
