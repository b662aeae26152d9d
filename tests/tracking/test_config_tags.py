from hypothesis import given
from hypothesis import strategies as st

from paretune.tracking.config_tags import config_tags, configs_of

SECTIONS = st.dictionaries(
    st.sampled_from(["seed", "model", "cap"]),
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(0, 1)
        | st.sampled_from([0.0, 1.0, "1"]),
        st.lists,
        max_leaves=3,
    ),
)


@given(st.lists(SECTIONS, max_size=5))
def test_configs_that_are_read_together_are_those_that_were_kept(configs):
    """Also where parts are equal in Python, such as 1, 1.0 and true."""
    assert repr(configs_of(map(config_tags, configs))) == repr(configs)


def test_equal_sections_of_configs_are_one_object():
    first, second = configs_of(
        map(
            config_tags,
            [
                {"seed": 1, "model": {"widths": [4]}},
                {"seed": 2, "model": {"widths": [4]}},
            ],
        )
    )

    assert first["model"] is second["model"]
