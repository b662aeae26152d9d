"""What Hydra says becomes a line in the words of our own messages."""

import pytest

from paretune.hydra_messages import translate


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            "Could not override 'sweeps'.\nTo append to your config use +sweeps=mine",
            (
                "sweeps `mine` is not in this folder, which has no file "
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
                "group `recipe` has no option to be replaced; put a plus before it: "
                "+recipe=era_11"
            ),
        ),
        (
            (
                "Error parsing override 'squeeze'\nmissing EQUAL at '<EOF>'\nSee "
                "https://hydra.cc"
            ),
            (
                "override `squeeze` cannot be read (missing EQUAL at '<EOF>'); "
                "write key=value without spaces, and put other texts in quotes"
            ),
        ),
        ("one\n  two\n", "one two"),
    ],
)
def test_hydras_messages_become_translate(text, line):
    assert translate(text) == line
