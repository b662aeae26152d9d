"""Every part has images of every class that has enough of them."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.model_selection import train_test_split

from paretune.data.images import Images, Splitting, assemble
from paretune.data.splitting import deal_folds
from paretune.errors import ConfigError, DataError

COUNTS = st.lists(st.integers(3, 40), min_size=2, max_size=8)


def images(counts: list[int]) -> Images:
    """So many images of each class, each with a value of its own."""
    total = sum(counts)
    pixels = torch.arange(total, dtype=torch.int32).reshape(total, 1, 1, 1)
    return Images(
        pixels, torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    )


def names(counts: list[int]) -> list[str]:
    return [f"c{number}" for number in range(len(counts))]


@given(COUNTS, st.floats(0.01, 0.6), st.floats(0.01, 0.6), st.integers(0, 3))
def test_each_class_of_three_is_in_each_part(counts, val_size, test_size, seed):
    splitting = Splitting(val_size=val_size, how="stratified", seed=seed)
    data = assemble(
        "own", {"train": images(counts)}, names(counts), splitting, test_size
    )
    parts = (data.train, data.val, data.load_test())

    assert sorted(torch.cat([part.pixels.flatten() for part in parts]).tolist()) == [
        *range(sum(counts))
    ]
    for part in parts:
        assert torch.bincount(part.labels, minlength=len(counts)).min() >= 1


@given(st.lists(st.integers(1, 9), min_size=2, max_size=6), st.data())
def test_a_train_size_keeps_one_of_each_class(counts, data):
    part = images([count + 1 for count in counts])
    left = sum(counts)
    size = data.draw(st.integers(len(counts), left - 1)) if left > len(counts) else None
    train, _ = Splitting(val_size=len(counts), how="stratified", train_size=size).split(
        part
    )

    assert torch.bincount(train.labels, minlength=len(counts)).min() >= 1
    assert len(train) == (size or left)


@given(st.integers(2, 6), st.integers(10, 40), st.integers(0, 5))
def test_what_scikit_learn_draws_well_stays_as_it_was(classes, each, seed):
    part = images([each] * classes)
    size = classes * each // 4
    _, val = Splitting(val_size=size, how="stratified", seed=seed).split(part)
    rows = np.arange(classes * each)
    _, expected = train_test_split(
        rows, test_size=size, random_state=seed, stratify=part.labels.numpy()
    )

    assert val.pixels.flatten().tolist() == sorted(expected.tolist())


@pytest.mark.parametrize(
    ("counts", "given_parts", "how", "message"),
    [
        (
            [9, 2, 1],
            (),
            "stratified",
            (
                r"data `own` has too few images of the class `c1` \(2\), `c2` \(1\); "
                r"expected at least 3 of each class, one to train, one to val"
            ),
        ),
        (
            [9, 1],
            ("test",),
            "stratified",
            (
                r"`c1` \(1\); expected at least 2 of each class, one to train, one to "
                r"validate; add some, leave the class out, or bring images to "
                r"validate of its own"
            ),
        ),
        (
            [9, 0],
            ("val", "test"),
            "stratified",
            (
                r"`c1` \(0\); expected at least 1 of each class, one to train; add "
                r"some, or leave the class out"
            ),
        ),
        (
            [9, 9],
            ("test",),
            "last",
            (
                r"has no validation image of the class `c0`; expected some of every "
                r"class; add some, or set data.splitting.how=strat"
            ),
        ),
    ],
)
def test_classes_with_too_few_are_named_with_advice_that_works(
    counts, given_parts, how, message
):
    parts = {"train": images(counts)} | {split: images([2, 2]) for split in given_parts}
    with pytest.raises(DataError, match=message):
        assemble("own", parts, names(counts), Splitting(val_size=0.2, how=how), 0.2)


def test_a_part_given_without_a_class_can_be_left_out(tmp_path):
    parts = {"train": images([5, 5]), "val": images([2, 0])}
    with pytest.raises(
        DataError,
        match=(
            r"no validation image of the class `c1`; .* or leave the validation "
            r"images out"
        ),
    ):
        assemble(
            "own", parts, names([5, 5]), Splitting(val_size=0.2, how="stratified"), 0.2
        )


@pytest.mark.parametrize(("val_size", "fitting"), [(2, "3 to 6"), (7, "3 to 6")])
def test_a_number_that_leaves_a_class_out_is_told_what_fits(val_size, fitting):
    with pytest.raises(
        ConfigError,
        match=rf"data.splitting.val_size `{val_size}` .*; expected {fitting}; set data.spl",
    ):
        Splitting(val_size=val_size, how="stratified").split(images([3, 3, 3]))


@given(
    st.lists(st.integers(5, 40), min_size=2, max_size=5),
    st.integers(2, 5),
)
def test_folds_have_equal_shares_of_every_class(counts, number):
    labels = images(counts).labels.numpy()
    folds = deal_folds(labels, number)

    for label in range(len(counts)):
        in_folds = np.bincount(folds[labels == label], minlength=number)
        assert in_folds.max() - in_folds.min() <= 1
    sizes = np.bincount(folds, minlength=number)
    assert sizes.max() - sizes.min() <= 1
    assert (folds == deal_folds(labels, number)).all()
