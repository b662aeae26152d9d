"""What is at a path of a plain config, and a copy with something else there."""

from copy import deepcopy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paretune.errors import ConfigError
from paretune.nested import has_value, list_leaves, set_value

NAMES = st.text("abc", min_size=1, max_size=2)
CONFIGS = st.dictionaries(
    NAMES,
    st.recursive(
        st.none() | st.integers(),
        lambda inner: st.dictionaries(NAMES, inner, max_size=3),
        max_leaves=6,
    ),
    max_size=3,
)


@given(CONFIGS)
def test_every_leaf_is_at_its_dotted_name(config):
    for name, value in list_leaves(config):
        path = name.split(".")
        assert has_value(config, path)
        assert set_value(config, path, value) == config


@given(CONFIGS, st.lists(NAMES, min_size=1, max_size=3), st.integers())
def test_a_copy_has_the_value_and_the_original_stays(config, path, value):
    before = deepcopy(config)
    changed = set_value(config, path, value)

    assert dict(list_leaves(changed))[".".join(path)] == value
    assert config == before


def test_entries_of_lists_are_named_by_their_numbers():
    config = {"widths": [4, 8]}

    assert has_value(config, ["widths", "1"])
    assert not has_value(config, ["widths", "2"])
    assert set_value(config, ["widths", "1"], 9) == {"widths": [4, 9]}


@pytest.mark.parametrize("name", ["2", "x", "-1"])
def test_an_entry_that_a_list_does_not_have_is_refused(name):
    with pytest.raises(
        ConfigError,
        match=rf"entry `{name}` is not there; \[4, 8\] has 2 entries, from 0",
    ):
        set_value({"widths": [4, 8]}, ["widths", name], 1)
