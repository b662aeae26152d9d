"""What a newcomer adds: a family is one file and one YAML."""

import pytest

from paretune.reports.findings import read_results
from paretune.reports.query import Query
from paretune.tracking import Store, read_points

CODE = '''
"""Pool the image, then one dense layer of ``width`` units."""

from torch import nn


class Pooled(nn.Sequential):
    def __init__(self, *, width=8, side=7, image_shape=(1, 28, 28), num_classes=10):
        layers = [nn.AdaptiveAvgPool2d(side), nn.Flatten(), nn.Linear(side * side, width), nn.ReLU()]
        super().__init__(*layers, nn.Linear(width, num_classes))
'''
YAML = """
# @package _global_
model: {_target_: pooled.Pooled, width: 8, side: 7, image_shape: [1, 28, 28], num_classes: 10}
space: {model.width: 'int(interval(2, 32))', model.side: 'choice(4, 7)'}
"""


@pytest.fixture
def searchpath(tmp_path, monkeypatch) -> str:
    (tmp_path / "pooled.py").write_text(CODE)
    (tmp_path / "conf" / "model").mkdir(parents=True)
    (tmp_path / "conf" / "model" / "mine.yaml").write_text(YAML)
    monkeypatch.syspath_prepend(tmp_path)
    return f"hydra.searchpath=[file://{tmp_path}/conf]"


SMALL = ("data=digits", "model=mine", "trainer.max_epochs=1", "trainer.autotune=false")


def test_a_new_family_trains(command, searchpath):
    answer = command(searchpath, *SMALL, "model.width=5")

    assert answer.code == 0, answer.err
    assert "pooled with 310 parameters" in answer.out  # 49 * 5 + 5 + 5 * 10 + 10


def test_a_new_family_sweeps_over_its_own_space_under_a_cap(
    command, searchpath, tmp_path
):
    sweep = ("name=new", "cap.max_params=400", "hydra.sweeper.n_trials=3")
    answer = command("-m", searchpath, *sweep, *SMALL)
    assert answer.code == 0, answer.err
    store = Store(f"sqlite:///{tmp_path}/store/mlflow.db")
    points = read_points(store, "new")

    assert [point.family for point in points] == ["pooled"] * 3
    assert (
        read_results(store, ["new"], Query(families=("mine",))).table["model"].tolist()
        == ["mine"] * 3
    )
    assert max(point.params for point in points) <= 400
