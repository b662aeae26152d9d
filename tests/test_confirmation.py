"""How a model was trained again is a record, whatever words its settings hold."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paretune.commands.export_files import choose_seed
from paretune.commands.retraining import change_settings
from paretune.confirmation import TRAIN, TRAIN_AND_VAL, Confirmation
from paretune.errors import StoreError
from paretune.tracking import RunRecorder, Store
from stored_config import CONFIG

LINES = st.builds(
    "{}={}".format,
    st.from_regex(r"[a-z]{1,5}(\.[a-z]{1,5})?", fullmatch=True),
    st.text(),
)
MISLEADING = (
    "trainer.note='on train+val, the last'",
    "augment.note=', with a=1'",
    "scheduler.note=', in int8'",
)


@given(
    st.builds(
        Confirmation,
        epochs=st.integers(1, 10**6),
        train_on=st.sampled_from([TRAIN, TRAIN_AND_VAL]),
        keeps_last=st.booleans(),
        teacher=st.none() | st.from_regex(r"[0-9a-f]{8}", fullmatch=True),
        int8=st.booleans(),
        settings=st.lists(LINES | st.sampled_from(MISLEADING), unique=True).map(tuple),
    )
)
def test_the_words_of_a_confirmation_are_read_as_itself(confirmation):
    assert Confirmation.read(str(confirmation)) == confirmation


def test_words_of_an_unknown_form_are_refused():
    with pytest.raises(
        StoreError,
        match=(
            "confirmation `for long` cannot be read; another version of Paretune "
            "wrote it"
        ),
    ):
        Confirmation.read("for long")


@pytest.mark.parametrize(("train_on", "chosen"), [(TRAIN, 8), (TRAIN_AND_VAL, 7)])
@pytest.mark.parametrize("line", MISLEADING)
def test_the_seed_to_export_is_the_best_on_validation_unless_that_was_trained_on(
    tmp_path, migrated, train_on, chosen, line
):
    migrated(tmp_path / "mlflow.db")
    store, how = (
        Store(f"sqlite:///{tmp_path}/mlflow.db"),
        str(Confirmation.of(CONFIG, train_on, lines=[line])),
    )
    runs = {}
    for seed, f1 in {7: 0.5, 8: 0.9, 9: 0.7}.items():
        tags = {
            "kind": "confirm",
            "sweep": "s",
            "confirms": "r",
            "seed": str(seed),
            "how": how,
        }
        with RunRecorder(store, "again", tags=tags, searched={}) as recorder:
            recorder.write(
                "metrics",
                values={
                    "val_f1": f1,
                    "test_f1": f1,
                    "test_accuracy": f1,
                    "seconds": 1.0,
                },
            )
        runs[recorder.run_id] = seed

    assert runs[choose_seed(store, "s", {"run_id": "r", "how": how})] == chosen


@pytest.mark.parametrize(
    "line", ["augment=affine", "+augment=affine", "++augment=affine", "augment= affine"]
)
def test_an_option_of_a_group_is_set_however_it_is_spelt(line):
    assert (
        change_settings({**CONFIG, "augment": {"_target_": "x"}}, (line,))["augment"][
            "_target_"
        ]
        == "paretune.augment.Affine"
    )
