"""How long the trainings of a search are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paretune.auto.lengths import LEAST_TRAININGS, choose_length, guess_epoch_s

HOUR_S = 3600.0
MNIST = (50_000, 28 * 28)
images = st.integers(10, 10**7)
pixels = st.integers(1, 10**6)
seconds = st.floats(1, 10**7)


def test_mnist_has_the_length_that_its_front_was_searched_with():
    assert choose_length(*MNIST, core_s=16 * HOUR_S).epochs == 27


def test_small_data_have_more_epochs_and_fewer_steps():
    few = choose_length(2_000, 28 * 28, core_s=16 * HOUR_S)

    assert few.epochs == 135
    assert few.epochs * 2_000 < 27 * 50_000


def test_where_hours_are_short_so_are_trainings():
    assert choose_length(*MNIST, core_s=600).epochs == 9


@given(images, pixels, seconds)
def test_a_race_has_its_rungs_at_a_ninth_and_at_a_third(n_images, n_pixels, core_s):
    length = choose_length(n_images, n_pixels, core_s)

    assert length.epochs == 9 * length.first_rung
    assert 1 <= length.first_rung <= 27


@given(images, pixels, seconds)
def test_enough_trainings_fit_unless_they_are_the_shortest(n_images, n_pixels, core_s):
    length = choose_length(n_images, n_pixels, core_s)
    trainings_s = LEAST_TRAININGS * length.epochs * guess_epoch_s(n_images, n_pixels)

    rounded = 1.5  # the first rung is a whole number
    assert length.first_rung == 1 or trainings_s <= rounded * core_s


@given(images, pixels, seconds, st.floats(1, 100))
def test_more_time_makes_no_training_shorter(n_images, n_pixels, core_s, times):
    short = choose_length(n_images, n_pixels, core_s)
    long = choose_length(n_images, n_pixels, core_s * times)

    assert long.epochs >= short.epochs


@pytest.mark.parametrize("n_pixels", [1, 64, 28 * 28])
def test_no_image_is_so_small_that_it_takes_no_time(n_pixels):
    assert guess_epoch_s(15_000, n_pixels) >= 0.2
