import numpy as np
import pytest
from optuna.distributions import IntDistribution

from contracts.sampler import DEEP, deep_count
from paretune.errors import CapError, ConfigError
from paretune.search.costs import CostModel
from paretune.search.feasible_space import FeasibleSpace
from paretune.search.space_parser import parse_space


def parsed(*lines, groups=(), own=None):
    return parse_space(
        lines, is_group=lambda key: key in groups, own_space=own or (lambda _: {})
    )


def test_a_parameter_is_part_of_a_configuration_where_its_condition_holds():
    space = parsed("depth=range(1,3)", "w=tag(log,'if depth > 1',int(interval(2,9)))")

    assert space.all_distributions()["w"] == IntDistribution(2, 9, log=True)
    assert space.drop_inactive({"depth": 1, "w": 5}) == {"depth": 1}
    assert space.drop_inactive({"depth": 2, "w": 5}) == {"depth": 2, "w": 5}


def test_what_a_condition_depends_on_may_stand_below():
    space = parsed("w=tag('if k == b',range(1,5))", "k=choice(a,b)")

    assert list(space.all_distributions()) == ["k", "w"]


def test_a_condition_on_what_is_left_out_does_not_hold():
    space = parsed(
        "a=choice(0,1)", "b=tag('if a == 1',range(1,5))", "c=tag('if b < 9',range(1,5))"
    )

    assert space.drop_inactive({"a": 0, "b": 2, "c": 3}) == {"a": 0}


def test_a_condition_on_a_fixed_value_is_decided_at_once():
    lines = ("w=tag('if depth > 1',range(1,5))", "v=tag('if depth > 2',range(1,5))")

    assert list(parsed("depth=2", *lines).all_distributions()) == ["w"]
    assert parsed("depth=2", *lines).conditions == {}


def test_a_group_without_a_space_of_its_own_is_a_choice_like_any_other():
    own = {"model=a": {"w": "range(1,3)"}, "model=b": {"w": "range(1,9)"}}
    space = parsed(
        "model=choice(a,b)",
        "augment=choice(none,affine)",
        "augment.turn=tag('if augment == affine',interval(0,9))",
        groups=["model", "augment"],
        own=lambda lines: own[next(line for line in lines if "model" in line)],
    )

    assert list(space.choices) == ["model"]
    assert space.overrides(
        {"model": "b", "augment": "affine", "augment.turn": 3.5, "b/w": 7}
    ) == [
        "model=b",
        "augment=affine",
        "augment.turn=3.5",
        "w=7",
    ]


def test_conditions_are_part_of_the_question():
    space = parsed("depth=range(1,3)", "w=tag('if depth > 1',range(2,9))")

    assert space.describe()["w"].endswith(" if depth > 1")


@pytest.mark.parametrize(
    ("tag", "message"),
    [
        (
            "if depth",
            (
                r"condition `if depth` of `w=.*` cannot be read; expected `if`, a "
                r"parameter, a comparison and a value"
            ),
        ),
        (
            "if width > 1",
            (
                r"condition `if width > 1` of `w=.*` names nothing that is searched "
                r"or set; expected `if`"
            ),
        ),
        (
            "if w > 1",
            r"condition `if w > 1` of `w=.*` names nothing that is searched or set",
        ),
    ],
)
def test_a_condition_that_cannot_be_is_refused(tag, message):
    with pytest.raises(ConfigError, match=message):
        parsed("depth=range(1,3)", f"w=tag('{tag}',range(1,5))")


def test_a_condition_that_compares_words_with_numbers_is_refused():
    space = parsed("k=choice(a,b)", "w=tag('if k > 1',range(1,5))")

    with pytest.raises(
        ConfigError,
        match=r"condition `if k > 1` compares with `[ab]` \(.*\); expected `if`",
    ):
        FeasibleSpace(space, lambda params: 1)


def test_few_configurations_are_counted_for_every_depth():
    counted = []
    costs = CostModel(DEEP, lambda params: counted.append(params) or deep_count(params))
    feasible, rng = FeasibleSpace(DEEP, deep_count), np.random.default_rng(0)
    draws = [feasible.draw_uniform(rng) for _ in range(300)]

    assert [costs(params) for params in draws] == [
        deep_count(params) for params in draws
    ]
    assert len(counted) < 180


def test_the_smallest_and_the_largest_of_a_deep_space_are_whole():
    feasible = FeasibleSpace(DEEP, deep_count)

    assert feasible.smallest_of({}) == {
        "optimizer": "a",
        "lr": 0.0,
        "depth": 1,
        "w0": 2,
    }
    assert {name: feasible.largest_of({})[name] for name in ("depth", "w4")} == {
        "depth": 5,
        "w4": 64,
    }


def test_a_configuration_is_taken_from_values():
    values = {"depth": 2, "w0": 5, "w1": 6, "w2": 99, "optimizer": "b", "lr": 0.5}

    assert DEEP.take_values(values.get, "start `x`") == {
        "depth": 2,
        "w0": 5,
        "w1": 6,
        "optimizer": "b",
        "lr": 0.5,
    }


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("depth", 9, "1 to 5"),
        ("w0", 2.5, "2 to 64"),
        ("optimizer", "c", "one of a, b"),
        ("lr", None, "0.0 to 1.0"),
    ],
)
def test_a_configuration_outside_of_the_space_is_refused(name, value, expected):
    values = {"depth": 1, "w0": 5, "optimizer": "b", "lr": 0.5, name: value}

    with pytest.raises(
        ConfigError,
        match=rf"start `x` has {name} `{value}`, which is not searched; expected {expected}",
    ):
        DEEP.take_values(values.get, "start `x`")


def test_a_fraction_is_taken_on_the_steps_of_its_range_alone():
    space = parsed("x=range(0.1,0.5,0.1)")

    assert space.take_values({"x": 0.3}.get, "start `x`") == {"x": 0.3}
    with pytest.raises(
        ConfigError,
        match=r"has x `0.25`, which is not searched; expected 0.1 to 0.5 in steps of 0.1",
    ):
        space.take_values({"x": 0.25}.get, "start `x`")


def test_a_configuration_over_the_cap_is_refused():
    feasible = FeasibleSpace(DEEP, deep_count, 100)

    with pytest.raises(
        CapError,
        match=(
            r"start `x` has 128 parameters, over the cap of 100; make it smaller or "
            r"raise the cap"
        ),
    ):
        feasible.check_fits(
            {"depth": 1, "w0": 64, "optimizer": "a", "lr": 0.5}, "start `x`"
        )


def test_a_condition_compares_what_hydra_reads():
    space = parsed(
        "k=choice('null',ema)",
        "h=choice([],[16])",
        "a=tag('if k != null',range(1,2))",
        "b=tag('if h != []',range(1,2))",
    )

    assert space.drop_inactive({"k": "null", "h": "[]", "a": 1, "b": 1}) == {
        "k": "null",
        "h": "[]",
    }
    assert space.drop_inactive({"k": "ema", "h": "[16]", "a": 1, "b": 1}) == {
        "k": "ema",
        "h": "[16]",
        "a": 1,
        "b": 1,
    }


def test_a_condition_on_a_fraction_is_refused():
    with pytest.raises(
        ConfigError,
        match=(
            r"condition `if d > 0.1` of `w=.*` depends on a fraction; expected a "
            r"choice"
        ),
    ):
        parsed("d=interval(0.0,0.5)", "w=tag('if d > 0.1',range(1,5))")


def test_a_condition_on_a_config_group_is_refused():
    with pytest.raises(
        ConfigError,
        match=r"condition `if k == a` of `scheduler=.*` is on a config group",
    ):
        parsed(
            "k=choice(a,b)",
            "scheduler=tag('if k == a',choice(x,y))",
            groups=["scheduler"],
        )


def test_options_that_bring_the_same_space_bring_theirs_and_not_that_of_the_default():
    def own(lines):
        return {"w": "range(1,3)"} if lines else {"z": "range(1,9)"}

    assert set(
        parsed("model=choice(a,b)", groups=["model"], own=own).all_distributions()
    ) == {"model", "w"}
