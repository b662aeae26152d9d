import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from paretune.data.images import ImageData, Images, Splitting
from paretune.errors import ConfigError

LABELS = torch.arange(100) % 10
IMAGES = Images(torch.arange(100, dtype=torch.uint8).reshape(100, 1, 1, 1), LABELS)


def ids(images: Images) -> list[int]:
    return images.pixels.flatten().tolist()


def test_last_holds_out_the_last_images_in_order():
    train, val = Splitting(val_size=30).split(IMAGES)

    assert (ids(train), ids(val)) == (list(range(70)), list(range(70, 100)))


def test_train_size_keeps_the_first_images():
    train, val = Splitting(val_size=30, train_size=12).split(IMAGES)

    assert (ids(train), len(val)) == (list(range(12)), 30)


@given(st.integers(10, 50), st.integers(0, 5))
def test_stratified_splits_are_disjoint_whole_and_even(val_size, seed):
    train, val = Splitting(val_size=val_size, how="stratified", seed=seed).split(IMAGES)
    shares = torch.bincount(val.labels, minlength=10)

    assert sorted(ids(train) + ids(val)) == list(range(100))
    assert shares.max() - shares.min() <= 1


def test_the_same_seed_draws_the_same_split():
    splits = [
        Splitting(val_size=20, how="stratified", seed=seed).split(IMAGES)[1]
        for seed in (3, 3, 4)
    ]

    assert ids(splits[0]) == ids(splits[1]) != ids(splits[2])


@pytest.mark.parametrize(
    ("splitting", "message"),
    [
        (
            Splitting(val_size=100),
            r"data.splitting.val_size `100` does not fit 100 images; expected 1 to 99",
        ),
        (
            Splitting(val_size=10, train_size=91),
            r"data.splitting.train_size `91` does not fit 90 images; expected 1 to 89",
        ),
        (
            Splitting(val_size=10, how="first"),
            r"data.splitting.how `first` is unknown; expected last or stratified",
        ),
    ],
)
def test_a_split_that_cannot_be_is_refused(splitting, message):
    with pytest.raises(ConfigError, match=message):
        splitting.split(IMAGES)


def test_mean_and_deviation_are_those_of_the_training_pixels():
    train = Images(torch.randint(0, 256, (50, 1, 4, 4), dtype=torch.uint8), LABELS[:50])
    data = ImageData("noise", train, train, load_test=lambda: train)

    assert data.mean == pytest.approx(train.pixels.double().mean().item())
    assert data.std == pytest.approx(train.pixels.double().std(correction=0).item())


def test_each_image_validates_in_one_fold_and_trains_in_the_others():
    train, val = IMAGES.take(slice(70)), IMAGES.take(slice(70, None))
    folds = ImageData("numbers", train, val, load_test=lambda: IMAGES).make_folds(4)

    held_out = [number for fold in folds for number in ids(fold.val)]
    assert sorted(held_out) == list(range(100))
    for fold in folds:
        assert sorted([*ids(fold.train), *ids(fold.val)]) == list(range(100))
