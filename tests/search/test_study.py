import optuna
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from paretune.errors import StoreError
from paretune.search.study import check_same_setup

QUESTION = {
    "cap": "5000",
    "config group scheduler": "cosine",
    "optimizer.lr": "interval(0,1)",
}
SETTINGS = {"scheduler.warmup": "0.1", "optimizer.lr": "0.005", "seed": "0"}


def test_the_same_question_may_be_asked_again():
    study = optuna.create_study()
    for _ in range(2):
        check_same_setup(study, QUESTION, SETTINGS)

    assert study.user_attrs == {"question": QUESTION, "settings": SETTINGS}


@pytest.mark.parametrize(
    ("question", "settings", "changes"),
    [
        (
            {**QUESTION, "optimizer.lr": "interval(0,2)"},
            SETTINGS,
            r"\(optimizer.lr: interval\(0,1\) -> interval\(0,2\)\)",
        ),
        (QUESTION, {**SETTINGS, "seed": "1"}, r"\(seed: 0 -> 1\)"),
        (
            {**QUESTION, "config group scheduler": "step"},
            {"scheduler.every": "3", "optimizer.lr": "0.005", "seed": "0"},
            r"\(config group scheduler: cosine -> step\)",
        ),
    ],
)
def test_another_question_is_refused_with_each_change(question, settings, changes):
    study = optuna.create_study()
    check_same_setup(study, QUESTION, SETTINGS)

    with pytest.raises(StoreError, match=changes):
        check_same_setup(study, question, settings)


def test_a_study_that_kept_no_settings_takes_those_it_goes_on_with():
    study = optuna.create_study()
    study.set_user_attr("question", QUESTION)
    check_same_setup(study, QUESTION, SETTINGS)

    assert study.user_attrs["settings"] == SETTINGS


@pytest.mark.parametrize("stored", ["[6, 4, 8]", "[16, 16, 8]"])
def test_entries_of_a_list_that_are_searched_are_no_setting(stored):
    """The values that were counted last are kept."""
    study, space = (
        optuna.create_study(),
        {"model.widths.0": "2 to 48", "model.widths.1": "2 to 48"},
    )
    check_same_setup(study, space, {"model.widths": stored})
    check_same_setup(study, space, {"model.widths": "[16, 16, 8]"})

    with pytest.raises(StoreError, match=r"\(model.widths: \[.*8\] -> \[16, 16, 9\]\)"):
        check_same_setup(study, space, {"model.widths": "[16, 16, 9]"})


@given(st.lists(st.text() | st.integers() | st.none(), min_size=1), st.text())
@example([1, """it's "a"\\"""], "b")
def test_entries_that_are_searched_are_no_setting_whatever_texts_stand_beside_them(
    entries, first
):
    study = optuna.create_study()
    check_same_setup(study, {"k.0": "1 to 2"}, {"k": str(entries)})
    check_same_setup(study, {"k.0": "1 to 2"}, {"k": str([first, *entries[1:]])})

    with pytest.raises(StoreError, match="was started with a different configuration"):
        check_same_setup(study, {"k.0": "1 to 2"}, {"k": str([*entries, "more"])})
