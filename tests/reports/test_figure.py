import pytest
from PIL import Image

from paretune.reports.figure import draw_front
from reports.tables import results_of, trial


@pytest.mark.parametrize("scores", [[0.5], [0.99, 0.99, 0.2], [1.0, 0.0]])
def test_the_picture_is_drawn_for_any_scores(tmp_path, scores):
    rows = [trial(n, 100 * (n + 1), f1) for n, f1 in enumerate(scores)]
    draw_front(results_of(rows), [tmp_path / "front.png"])

    with Image.open(tmp_path / "front.png") as picture:
        assert picture.size == (1350, 900)
        assert len(picture.convert("RGB").getcolors(10**6)) > 50
