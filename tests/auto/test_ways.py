"""The ways in which models are trained to their end, and the choice of one."""

from hypothesis import given
from hypothesis import strategies as st

from paretune.auto.ways import (
    LONGER,
    Way,
    add_teacher,
    choose_way,
    join_ways,
    list_first_ways,
    list_helpful,
    list_second_ways,
)
from paretune.commands.retraining import change_settings

STARTS = Way("starts", ("trainer.restarts.starts=8",))
AVERAGING = Way("averaging", ("trainer.averaging.kind=ema",))
AUGMENTATION = Way("augmentation", ("augment=affine",))
PLAIN = {
    "trainer": {"averaging": {"kind": None}, "label_smoothing": 0.0},
    "optimizer": {"weight_decay": 0.0},
}
scores_of_ways = st.dictionaries(
    st.sampled_from([LONGER, STARTS, AVERAGING, AUGMENTATION]), st.floats(0, 1)
)


def names_of(ways) -> list[str]:
    return [way.name for way in ways]


def test_a_model_is_tried_in_every_way_that_changes_something():
    assert names_of(list_first_ways(PLAIN, 81)) == [
        "longer",
        "starts",
        "averaging",
        "augmentation",
    ]


def test_what_a_model_has_already_is_not_tried():
    config = {
        "trainer": {
            "averaging": {"kind": "ema"},
            "restarts": {"starts": 8, "epochs": 1},
            "label_smoothing": 0.1,
        },
        "optimizer": {"weight_decay": 0.01},
    }

    assert names_of(list_first_ways(config, 81)) == [
        "longer",
        "augmentation",
        "no decay",
        "no smoothing",
    ]


def test_starts_are_looked_at_after_a_share_of_the_training():
    starts = list_first_ways(PLAIN, 81)[1]

    assert starts.settings[1] == "trainer.restarts.epochs=4"
    assert list_first_ways(PLAIN, 9)[1].settings[1] == "trainer.restarts.epochs=1"


def test_every_way_can_be_set(composed):
    from omegaconf import OmegaConf

    config = OmegaConf.to_container(
        composed("optimizer=adamw", "trainer.label_smoothing=0.1"), resolve=True
    )
    for way in list_first_ways(config, 27):
        changed = change_settings(config, way.settings)
        assert way is LONGER or changed != config


def test_what_helped_is_tried_together_and_with_a_teacher():
    scores = {LONGER: 0.9, STARTS: 0.93, AVERAGING: 0.91, AUGMENTATION: 0.92}

    assert names_of(list_second_ways(scores, has_teacher=True)) == [
        "starts + augmentation + averaging",
        "starts + augmentation",
        "starts + augmentation + averaging + teacher",
        "starts + augmentation + teacher",
    ]


def test_one_way_that_helped_is_tried_with_a_teacher_alone():
    scores = {LONGER: 0.9, STARTS: 0.93, AVERAGING: 0.89}

    assert list_second_ways(scores, has_teacher=False) == []
    assert names_of(list_second_ways(scores, has_teacher=True)) == ["starts + teacher"]


def test_where_nothing_helped_a_teacher_may():
    scores = {LONGER: 0.9, STARTS: 0.9}

    assert names_of(list_second_ways(scores, has_teacher=True)) == ["longer + teacher"]


def test_joined_ways_have_the_settings_of_all():
    both = join_ways([STARTS, AVERAGING])

    assert both.settings == (*STARTS.settings, *AVERAGING.settings)
    assert add_teacher(both) != both


@given(scores_of_ways)
def test_the_chosen_way_has_the_best_score(scores):
    chosen = choose_way(scores)

    assert scores.get(chosen, 1.0) == max(scores.values(), default=1.0)


def test_without_scores_a_training_is_longer_alone():
    assert choose_way({}) is LONGER


@given(scores_of_ways)
def test_helpful_ways_are_above_a_longer_training_the_best_first(scores):
    helpful = [scores[way] for way in list_helpful(scores)]

    assert helpful == sorted(helpful, reverse=True)
    assert all(score > scores.get(LONGER, 0.0) for score in helpful)
