import random

from paretune.search.importance import compute_importances


def draws(n: int) -> tuple[list[dict[str, str]], list[float]]:
    """``width`` decides the score, ``kind`` and ``noise`` do not; ``same`` never
    differs.
    """
    draw = random.Random(1)
    rows = [
        {
            "width": str(draw.randint(2, 64)),
            "kind": draw.choice("ab"),
            "noise": str(draw.random()),
            "same": "1",
        }
        for _ in range(n)
    ]
    return rows, [float(row["width"]) for row in rows]


def test_what_decides_the_score_comes_first_and_shares_add_up():
    shares = compute_importances(*draws(200))

    assert next(iter(shares)) == "width"
    assert set(shares) == {"width", "kind", "noise"}
    assert abs(sum(shares.values()) - 1) < 1e-9


def test_no_trials_say_nothing():
    assert compute_importances([], []) == {}


def test_a_parameter_that_some_trials_have_not_is_left_out():
    rows, scores = draws(50)
    del rows[7]["noise"]

    assert "noise" not in compute_importances(rows, scores)
