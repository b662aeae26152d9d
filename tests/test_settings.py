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
    line_of,
    one_line,
    without_effect,
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
            "trainer.min_delta `a` is invalid; expected a number; set trainer.min_delta",
        ),
        (
            {"trainer": 5},
            (
                "trainer `5` is invalid; expected settings below it; set such as "
                "trainer.max_epochs"
            ),
        ),
        (
            {"data": {"path": "???"}},
            "data.path is missing; expected a value; set data.path",
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
                "name `../x` is invalid; expected one for a folder of its own, "
                "without a comma; not over 200 bytes"
            ),
        ),
        (
            {"name": "-x"},
            (
                "name `-x` is invalid; expected one for a folder of its own, without "
                "a comma; not over 200 bytes, and with no - in front"
            ),
        ),
        (
            {"name": "n" * 201},
            "name `"
            + "n" * 201
            + (
                "` is invalid; expected one for a folder of its own, without a comma; "
                "not over 200 bytes, and with no - in front"
            ),
        ),
        (
            {"name": "a/" + "日" * 67},
            "name `a/"
            + "日" * 67
            + (
                "` is invalid; expected one for a folder of its own, without a comma; "
                "not over 200 bytes, and with no - in front"
            ),
        ),
        (
            {"name": "a,b"},
            (
                "name `a,b` is invalid; expected one for a folder of its own, without "
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


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            "Could not override 'sweeps'.\nTo append to your config use +sweeps=mine",
            (
                "sweeps `mine` is not in this folder; expected a file "
                "sweeps/mine.yaml; write it, or go to its folder"
            ),
        ),
        (
            "Could not override 'lr'.\nTo append to your config use +lr=1",
            (
                "setting `lr` is unknown; expected one that --cfg job shows; did you "
                "mean optimizer.lr?"
            ),
        ),
        (
            (
                "Could not override 'hydra.sweeper.n_trial'.\nTo append to your "
                "config use +hydra.sweeper.n_trial=1"
            ),
            (
                "setting `hydra.sweeper.n_trial` is unknown; expected one that --cfg "
                "hydra shows; correct its name"
            ),
        ),
        (
            (
                "Could not override 'recipe'. No match in the defaults list.\nTo "
                "append to your default list use +recipe=era_11"
            ),
            (
                "group `recipe` has no option to be replaced; expected a plus before "
                "it; write +recipe=era_11"
            ),
        ),
        (
            (
                "Error parsing override 'squeeze'\nmissing EQUAL at '<EOF>'\nSee "
                "https://hydra.cc"
            ),
            (
                "override `squeeze` cannot be read (missing EQUAL at '<EOF>'); "
                "expected key=value without spaces; put other texts in quotes"
            ),
        ),
        ("one\n  two\n", "one two"),
    ],
)
def test_hydras_messages_become_one_line(text, line):
    assert one_line(text) == line


@given(st.lists(st.text(st.characters(exclude_characters="\0"))))
def test_overrides_in_a_line_are_split_as_they_were(overrides):
    assert shlex.split(line_of(overrides)) == overrides


@pytest.mark.parametrize("setting", SWITCHES)
@pytest.mark.parametrize("how", ["named", "changed"])
def test_a_setting_whose_switch_is_off_is_told(setting, how):
    switch, off = SWITCHES[setting]
    usual, mine = (
        {setting: 1, switch: off},
        {setting: 1 if how == "named" else 2, switch: off},
    )
    named = [setting] if how == "named" else []
    (line,) = without_effect(mine, usual, named)

    assert line.startswith(
        f"{setting} `{mine[setting]}` has no effect while {switch} is "
    )
    assert without_effect(mine | {switch: "on"}, usual, named) == []
    assert without_effect(usual, usual) == []
