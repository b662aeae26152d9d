import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from PIL import Image

from paretune.errors import ConfigError
from paretune.reports.drawing import save_figure
from paretune.reports.figure import CONFIRMED, draw_front, draw_over, f1_ticks
from paretune.reports.query import Query
from reports.tables import results_of, training, trial


@pytest.mark.parametrize("scores", [[0.5], [0.99, 0.99, 0.2], [1.0, 0.0]])
def test_the_picture_is_drawn_for_any_scores(tmp_path, scores):
    rows = [trial(n, 100 * (n + 1), f1) for n, f1 in enumerate(scores)]
    draw_front(results_of(rows), [tmp_path / "front.png"])

    with Image.open(tmp_path / "front.png") as picture:
        assert picture.size == (1350, 900)
        assert len(picture.convert("RGB").getcolors(10**6)) > 50


def test_confirmed_models_have_their_intervals_in_the_picture(tmp_path):
    trials, trainings = (
        [trial(0, 100, 0.9), trial(1, 200, 0.95)],
        [training(1, 0.89), training(2, 0.91)],
    )
    for name, query in {"plain": Query(), "confirmed": Query(confirmed=True)}.items():
        draw_front(
            results_of(trials, *trainings, query=query), [tmp_path / f"{name}.svg"]
        )

    assert "95 % interval of the mean" in (tmp_path / "confirmed.svg").read_text()
    assert "95 % interval" not in (plain := (tmp_path / "plain.svg").read_text())
    assert "confirmed: test F1" in plain


@pytest.mark.parametrize(("seeds", "has_bars"), [(1, False), (2, True), (5, True)])
def test_a_confirmed_report_has_bars_for_models_of_several_seeds(
    tmp_path, seeds, has_bars
):
    trainings = [training(seed, 0.9 + seed / 1000) for seed in range(1, seeds + 1)]
    draw_front(
        results_of([trial(0, 100, 0.9)], *trainings, query=Query(confirmed=True)),
        [tmp_path / "front.svg"],
    )
    picture = (tmp_path / "front.svg").read_text()

    assert ("95 % interval of the mean" in picture) == has_bars
    assert (f"stroke: {CONFIRMED}" in picture) == has_bars


@given(st.floats(0, 0.9999), st.floats(1e-5, 1))
def test_an_axis_has_three_labels_or_more_inside_it(lowest, length):
    highest = min(lowest + length, 1.0)
    ticks = f1_ticks(lowest, highest)

    assert 3 <= len(ticks) <= 12
    assert all(lowest - 1e-9 <= tick <= highest + 1e-9 for tick in ticks)
    assert ticks == sorted({*ticks})


def test_a_confirmed_model_above_all_trials_is_inside_the_picture(tmp_path):
    draw_front(
        results_of([trial(0, 100, 0.9)], training(1, 0.9988), training(2, 0.9992)),
        [tmp_path / "front.svg"],
    )

    # The mark on the axis next below it.
    assert "<!-- 0.998 -->" in (tmp_path / "front.svg").read_text()


def over(tmp_path, setting: str, rows: list[dict]) -> str:
    draw_over(results_of(rows), setting, tmp_path / "over.svg")
    return (tmp_path / "over.svg").read_text()


def test_f1_over_a_setting_has_a_line_for_each_choice_of_the_others(tmp_path):
    searched = [
        {"data.size": size, "+recipe": recipe, "seed": seed}
        for size in "19"
        for recipe in ("a_net", "b_net")
        for seed in "01"
    ]
    rows = [
        trial(n, 100, 0.9 + n / 100) | {"searched": drawn}
        for n, drawn in enumerate(searched)
    ]
    picture = over(tmp_path, "data.size", rows)

    assert all(
        f"<!-- {text} -->" in picture
        for text in ("a_net", "b_net", "recipe", "data.size")
    )


def test_trials_of_a_family_that_lacks_the_setting_are_left_out(tmp_path):
    rows = [
        trial(0, 100, 0.9) | {"searched": {"lr": "0.1", "model": "conv", "width": "3"}},
        trial(1, 200, 0.8) | {"searched": {"lr": "0.2", "model": "dense"}},
        trial(2, 300, 0.9) | {"searched": {"model": "gap"}},
    ]
    picture = over(tmp_path, "lr", rows)

    assert "<!-- conv" in picture
    assert "<!-- gap" not in picture


def test_a_setting_that_was_not_searched_cannot_be_drawn_over(tmp_path):
    with pytest.raises(
        ConfigError,
        match=(
            r"--over `lr` cannot be drawn .0 of 1 trials have a number.*; name one of "
            r"data.size"
        ),
    ):
        over(tmp_path, "lr", [trial(0, 100, 0.9) | {"searched": {"data.size": "3"}}])


def test_a_setting_that_may_be_zero_is_drawn_whole(tmp_path):
    rows = [
        trial(n, 100, 0.9 + n / 100) | {"searched": {"smoothing": value}}
        for n, value in enumerate(("0.0", "0.05", "0.1"))
    ]

    assert "<!-- 0.00 -->" in over(tmp_path, "smoothing", rows)


def test_joined_sweeps_have_a_line_each(tmp_path):
    rows = [
        trial(n, 100, f1, sweep=name) | {"searched": {"size": str(n // 2 + 1)}}
        for n, (name, f1) in enumerate([("s", 0.9), ("t", 0.5)] * 2)
    ]
    draw_over(results_of(rows, sweeps=["s", "t"]), "size", tmp_path / "over.svg")

    assert all(
        f"<!-- {name} -->" in (tmp_path / "over.svg").read_text() for name in "st"
    )


@pytest.mark.parametrize("name", ["日本", "é日本", "한국어"])
def test_a_name_in_letters_that_no_font_has_is_drawn_without_a_warning(tmp_path, name):
    figure = Figure()
    figure.subplots().set_title(name)

    save_figure(figure, tmp_path / "front.png", 150)

    assert (tmp_path / "front.png").stat().st_size > 0
