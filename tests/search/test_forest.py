"""A forest over configurations."""

import numpy as np

from paretune.search.forest import Forest

RNG = np.random.default_rng(0)
ROWS = RNG.random((200, 12))
# A choice decides which of two numbers matters.
LOSSES = np.where(ROWS[:, 0] > 0.5, ROWS[:, 1], -ROWS[:, 2])


def test_it_predicts_what_a_choice_decides():
    forest = Forest(ROWS[:150], LOSSES[:150], size_column=3)
    mean, deviation = forest.predict(ROWS[150:])

    assert np.corrcoef(mean, LOSSES[150:])[0, 1] > 0.9
    assert (deviation > 0).all()


def test_the_same_points_give_the_same_forest():
    first, second = (
        Forest(ROWS, LOSSES, size_column=3).predict(ROWS[:9])[0] for _ in range(2)
    )

    assert (first == second).all()


def test_it_is_surer_where_it_has_seen_much():
    known = ROWS[ROWS[:, 0] > 0.5]
    forest = Forest(known, LOSSES[ROWS[:, 0] > 0.5], size_column=3)
    _, seen = forest.predict(known)
    _, unseen = forest.predict(known * 0.4)

    assert seen.mean() < 0.2
    assert np.isfinite(unseen).all()


def test_points_that_are_added_move_what_is_predicted_near_them():
    forest = Forest(ROWS, LOSSES, size_column=3)
    before, _ = forest.predict(ROWS)
    place = ROWS[:1].repeat(50, axis=0)
    grown = forest.add_points(place, np.full(50, 5.0))
    after, deviation = grown.predict(ROWS)

    assert after[0] > 4
    assert (after >= before - 1e-9).all()
    assert (deviation > 0).all()
    assert (forest.predict(ROWS)[0] == before).all()


def test_points_that_were_predicted_change_nothing():
    forest = Forest(ROWS, np.full(len(ROWS), 0.5), size_column=3)
    grown = forest.add_points(ROWS[:20], np.full(20, 0.5))

    assert np.allclose(grown.predict(ROWS)[0], 0.5)


def test_no_points_change_nothing():
    forest = Forest(ROWS, LOSSES, size_column=3)
    grown = forest.add_points(ROWS[:0], LOSSES[:0])

    assert (grown.predict(ROWS)[0] == forest.predict(ROWS)[0]).all()


def test_beyond_the_sizes_that_it_has_seen_it_goes_on_along_the_line():
    small = ROWS[ROWS[:, 3] < 0.5]
    forest = Forest(small, -4 * small[:, 3], size_column=3)
    mean, _ = forest.predict(ROWS)

    assert np.allclose(mean, -4 * ROWS[:, 3])


def test_of_one_size_the_line_is_level():
    alike = ROWS.copy()
    alike[:, 3] = 0.7
    forest = Forest(alike, LOSSES, size_column=3)

    assert forest.line == (0.0, LOSSES.mean())
