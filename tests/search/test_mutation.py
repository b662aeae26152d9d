"""Configurations that differ a little from one that is known."""

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, IntDistribution

from paretune.search.feasible_space import FeasibleSpace
from paretune.search.mutation import MAX_MUTATIONS, mutate
from paretune.search.space import Space

WIDTHS = {f"w{i}": IntDistribution(2, 64) for i in range(3)}
CHOICES = {f"c{i}": CategoricalDistribution(list("abcdefgh")) for i in range(24)}


def count_changes(space: Space, number: int = 600) -> list[dict[str, int]]:
    """How many choices and numbers each of several mutants has changed."""
    feasible = FeasibleSpace(space)
    rng = np.random.default_rng(0)
    parent = {name: 30 for name in WIDTHS if name in space.common}
    parent |= {name: "a" for name in CHOICES if name in space.common}
    changes: list[dict[str, int]] = []
    for _ in range(number):
        mutant = mutate(parent, feasible, rng)
        changed = [name for name in parent if mutant[name] != parent[name]]
        n_choices = sum(name in CHOICES for name in changed)
        changes.append({"choices": n_choices, "numbers": len(changed) - n_choices})
    return changes


def test_numbers_are_changed_as_often_as_choices_however_many_these_are():
    changes = count_changes(Space(common={**WIDTHS, **CHOICES}))
    n_choices = sum(change["choices"] for change in changes)
    n_numbers = sum(change["numbers"] for change in changes)

    assert 0.7 < n_numbers / n_choices < 1.4
    assert max(sum(change.values()) for change in changes) == MAX_MUTATIONS


@pytest.mark.parametrize("common", [WIDTHS, CHOICES], ids=["numbers", "choices"])
def test_where_there_is_one_kind_alone_it_is_changed(common):
    changes = count_changes(Space(common=dict(common)), number=50)

    assert sum(sum(change.values()) for change in changes) > 40
