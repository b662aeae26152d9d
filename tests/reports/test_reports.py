import csv
from dataclasses import replace

import pytest
from PIL import Image
from rich.console import Console

from paretune.front import Point
from paretune.pareto import cli
from paretune.reports.confirmed import Reference, read_references
from paretune.reports.figure import draw_front
from paretune.reports.files import write_csv
from paretune.reports.findings import layers_of
from paretune.reports.terminal import front_table
from paretune.tracking import Store

POINT = Point(params=1234, f1=0.98765, accuracy=0.9876, seconds=12.3, family="squeeze", best_epoch=3, run_id="abcdef0123",
              config={"model": {"widths": [8, 12], "kernel_size": 3, "norm": "batch"}})  # fmt: skip


def test_the_table_shows_every_member_on_eighty_columns():
    console = Console(width=80, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(front_table([POINT, replace(POINT, params=99_999)], "two"))
    text = console.export_text()
    console.file.close()

    assert "1,234" in text and "99,999" in text  # noqa: PT018
    assert "0.9877" in text
    assert "8-12 k3 batch" in text


def test_layers_name_what_shapes_the_network():
    model = {"widths": [4, 4], "kernel_size": 5, "norm": "none", "neck": 1, "head": [16]}

    assert layers_of(replace(POINT, config={"model": model})) == "4-4 k5 neck 1 head 16"
    assert layers_of(replace(POINT, config={})) == ""
    recurrent = {"stem": 8, "width": 26, "steps": 3, "norm": "batch", "head": [16]}
    assert layers_of(replace(POINT, config={"model": recurrent})) == "stem 8 width 26 steps 3 batch head 16"


def test_the_csv_holds_what_the_points_hold(tmp_path):
    write_csv([POINT], tmp_path / "front.csv")
    with (tmp_path / "front.csv").open() as file:
        (row,) = csv.DictReader(file)

    assert (int(row["params"]), float(row["val_f1"]), row["family"]) == (1234, 0.98765, "squeeze")
    assert (row["layers"], row["run_id"]) == ("8-12 k3 batch", "abcdef0123")


@pytest.mark.parametrize("scores", [[0.5], [0.99, 0.99, 0.2], [1.0, 0.0]])
def test_the_picture_is_drawn_for_any_scores(tmp_path, scores):
    points = [replace(POINT, f1=f1, params=100 * (i + 1)) for i, f1 in enumerate(scores)]
    reference = Reference("known", 500, 0.9, "honest", "somewhere", label=True)
    draw_front(points, [tmp_path / "front.png"], title="t", references=[reference], cap=1000)

    with Image.open(tmp_path / "front.png") as picture:
        assert picture.size == (1350, 900)
        assert len(picture.convert("RGB").getcolors(10**6)) > 50


def test_a_data_set_without_references_has_none(tmp_path):
    assert read_references(tmp_path / "none.yaml") == []


def test_a_missing_store_is_one_line_and_exit_code_two(tmp_path, capsys):
    with pytest.raises(SystemExit) as leaving:
        cli(["demo", "--store", str(tmp_path)])

    assert leaving.value.code == 2
    assert capsys.readouterr().err.startswith("paretune-pareto: tracking store `")


def test_an_empty_sweep_is_one_line(tmp_path, capsys, migrated):
    migrated(tmp_path / "mlflow.db")
    store = Store(f"sqlite:///{tmp_path}/mlflow.db", str(tmp_path / "artifacts"))
    store.create()
    store.client.create_run(store.experiment_id, tags={"kind": "sweep", "sweep": "demo"})
    with pytest.raises(SystemExit):
        cli(["demo", "--store", str(tmp_path)])

    assert "sweep `demo` has no finished trial that was asked for (0 finished in all)" in capsys.readouterr().err
