"""``paretune pareto --study``, on studies that Optuna made alone."""

import csv
import json
import os
import subprocess
import sys

import pytest

from paretune.commands.pareto import cli
from studies_of_others import add_failed, make_study, sqlite

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
ROWS = ((30, 0.95), (10, 0.8), (20, 0.7), (40, 0.99))


@pytest.fixture
def storage(tmp_path, monkeypatch):
    """A study of a cost and a score, in the working folder."""
    monkeypatch.chdir(tmp_path)
    study = make_study(tmp_path / "a.db", *ROWS, names=("ms", "accuracy"))
    add_failed(study)
    return sqlite(tmp_path / "a.db")


def test_the_table_has_both_values_and_the_parameters(storage, capsys):
    cli(["--study", storage])
    said = capsys.readouterr().out

    assert "plain: 3 of 4 complete trials are on" in said
    assert "5 trials in all (1 failed)" in said
    assert "ms   accuracy   trial   parameters" in said
    assert "10     0.8000       1   width=10" in said
    assert "Minimised: ms; maximised: accuracy." in said


def test_names_may_have_brackets_and_dollars(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = ("price [$]", "gain [$ / <b>day</b>]")
    make_study(tmp_path / "a.db", *ROWS, name="[a] $b$", names=names)
    cli(["--study", "a.db", "--out", "here"])
    said = capsys.readouterr().out

    assert "[a] $b$: 3 of 4 complete trials" in said
    assert "Minimised: price [$]; maximised: gain [$ / <b>day</b>]." in said


def test_all_files_are_written_below_the_name_of_the_study(storage, tmp_path):
    cli(["--study", storage])
    names = sorted(os.listdir(tmp_path / "pareto" / "plain"))

    assert names == ["front.csv", "front.json", "front.png", "front.svg", "report.html"]


def test_the_csv_has_a_column_for_each_value_and_parameter(storage, tmp_path):
    cli(["--study", storage, "--out", "here"])
    with (tmp_path / "here" / "front.csv").open() as stream:
        first, *_ = csv.DictReader(stream)

    assert (first["values_ms"], first["values_accuracy"]) == ("10", "0.8")
    assert (first["params_width"], first["overrides"]) == ("10", "width=10.0")


def test_the_json_has_the_values_by_their_names(storage, tmp_path):
    cli(["--study", storage])
    content = json.loads((tmp_path / "pareto" / "plain" / "front.json").read_text())

    assert (content["cost"], content["score"]) == ("ms", "accuracy")
    assert [trial["values"]["ms"] for trial in content["front"]] == [10, 30, 40]
    assert content["front"][0]["params"] == {"width": 10}


def test_the_score_is_drawn_over_a_parameter(storage, tmp_path):
    cli(["--study", storage, "--over", "width"])

    assert (tmp_path / "pareto" / "plain" / "over.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("a_sweep --study a.db", "sweep `a_sweep` and --study are both given"),
        ("--study a.db --max-params 5", "--max-params says nothing of the trials of"),
        ("--study a.db --min-f1 0.5", "--min-f1 says nothing of the trials of"),
        ("--study a.db --confirmed", "--confirmed says nothing of the trials of"),
        ("--study a.db --name other", "study `other` is not in study storage"),
        ("--study missing.db", "study storage `missing.db` does not exist"),
        ("--name plain", "--name `plain` names a study without --study"),
        ("", "no sweep is named; write such as paretune pareto first_mnist"),
        (
            "--study postgresql://me:secret@host/db",
            "URL `postgresql://me:***@host/db` holds a password",
        ),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_two(storage, capsys, arguments, said):
    with pytest.raises(SystemExit) as leaving:
        cli(arguments.split())
    err = capsys.readouterr().err

    assert leaving.value.code == 2
    assert err.startswith(f"paretune pareto: {said}")
    assert len(err.splitlines()) == 1


def test_neither_torch_nor_mlflow_is_imported(storage):
    code = (
        "import sys; from paretune.commands.pareto import cli; "
        f"cli(['--study', {storage!r}]); print([name for name in ('torch', 'mlflow', "
        "'onnx', 'pytorch_lightning', 'hydra') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert done.stdout.splitlines()[-1] == "[]"
