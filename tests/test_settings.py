"""What a person gets wrong in settings, by plain values."""

import re
import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paretune.errors import ConfigError
from paretune.settings import (
    RULES,
    SETTINGS,
    SWITCHES,
    check,
    check_all,
    join_overrides,
    list_without_effect,
)

DEFAULTS = {
    "test": False,
    "name": None,
    "trainer": {"max_epochs": 3, "min_delta": 0.5},
    "model": {"widths": [4]},
    "space": {},
}


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            {"test": "maybe"},
            "test `maybe` is invalid; expected true or false; set test",
        ),
        (
            {"nam": 1},
            (
                "setting `nam` is unknown; expected one that --cfg job shows; did you "
                "mean name?"
            ),
        ),
        (
            {"trainer": {"max_epochs": 0.5}},
            "trainer.max_epochs `0.5` is invalid; expected a whole number of at least 1",
        ),
        (
            {"trainer": {"min_delta": "a"}},
            "trainer.min_delta `a` is invalid; expected a number of at least 0; set trainer.min_delta",
        ),
        (
            {"trainer": 5},
            (
                "trainer `5` is invalid; it is a section of settings, such as "
                "trainer.max_epochs; set one of these"
            ),
        ),
        (
            {"data": {"path": "???"}},
            "data.path is missing; set data.path",
        ),
        (
            {"data": {"path": "no/such"}},
            (
                "data.path `no/such` is not there; expected your pictures or arrays; "
                "check the path"
            ),
        ),
        (
            {"name": "../x"},
            (
                "name `../x` is invalid; choose one for a folder of its own, "
                "without a comma or .. or // in it, not over 200 bytes"
            ),
        ),
        (
            {"name": "-x"},
            (
                "name `-x` is invalid; choose one for a folder of its own, without "
                "a comma or .. or // in it, not over 200 bytes, and with no - in front"
            ),
        ),
        (
            {"name": "n" * 201},
            "name `"
            + "n" * 201
            + (
                "` is invalid; choose one for a folder of its own, without a comma or "
                ".. or // in it, not over 200 bytes, and with no - in front"
            ),
        ),
        (
            {"name": "a/" + "日" * 67},
            "name `a/"
            + "日" * 67
            + (
                "` is invalid; choose one for a folder of its own, without a comma or "
                ".. or // in it, not over 200 bytes, and with no - in front"
            ),
        ),
        (
            {"name": "a,b"},
            (
                "name `a,b` is invalid; choose one for a folder of its own, without "
                "a comma"
            ),
        ),
        ({"name": "runs"}, "name `runs` is invalid"),
        (
            {"name": 1.1},
            (
                "name `1.1` is no text in the config file; put it in quotes, such as "
                "name: '1.1'"
            ),
        ),
        ({"name": True}, "name `True` is no text"),
        (
            {"model": {"widths": 4}},
            "model.widths `4` is invalid; expected a list such as",
        ),
    ],
)
def test_a_wrong_setting_is_refused_in_a_sentence(config, message):
    assert refusal(config).startswith(message)


def test_anything_may_be_null_and_arguments_of_a_target_may_be_new():
    config = {
        "name": "x",
        "test": None,
        "model": {"widths": None, "depth": 3},
        "space": {"a": "range(3)"},
    }

    assert refusal(config) == ""


def refusal(config: dict) -> str:
    """The message about a config; empty if it is accepted."""
    try:
        check_all(config, DEFAULTS)
    except ConfigError as error:
        return str(error)
    return ""


def is_allowed(setting: str, value: object) -> bool:
    rule = RULES[setting]
    if rule.choices:
        return value in rule.choices
    if value is None:
        return rule.optional
    is_number = type(value) is int or (type(value) is float and not rule.whole)
    if not is_number or value < rule.least:
        return False
    return (rule.most is None or value <= rule.most) and (
        rule.below is None or value < rule.below
    )


@given(
    st.sampled_from(SETTINGS),
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
)
def test_a_value_is_allowed_or_refused_by_its_name(setting, value):
    if is_allowed(setting, value):
        check(setting, value)
        return
    with pytest.raises(ConfigError, match=f"^{re.escape(setting)} `"):
        check(setting, value)


@given(st.lists(st.text(st.characters(exclude_characters="\0"))))
def test_overrides_in_a_line_are_split_as_they_were(overrides):
    assert shlex.split(join_overrides(overrides)) == overrides


@pytest.mark.parametrize("setting", SWITCHES)
@pytest.mark.parametrize("how", ["named", "changed"])
def test_a_setting_whose_switch_is_off_is_told(setting, how):
    switch, off = SWITCHES[setting].name, SWITCHES[setting].off
    usual, mine = (
        {setting: 1, switch: off},
        {setting: 1 if how == "named" else 2, switch: off},
    )
    named = [setting] if how == "named" else []
    (line,) = list_without_effect(mine, usual, named)

    assert line.startswith(
        f"{setting} `{mine[setting]}` has no effect while {switch} is "
    )
    assert list_without_effect(mine | {switch: "on"}, usual, named) == []
    assert list_without_effect(usual, usual) == []
