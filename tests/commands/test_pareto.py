import pytest

from paretune.commands.pareto import cli
from paretune.tracking import Store


def test_a_missing_store_is_one_line_and_exit_code_two(tmp_path, capsys):
    with pytest.raises(SystemExit, match="2") as leaving:
        cli(["demo", "--store", str(tmp_path)])

    assert leaving.value.code == 2
    assert capsys.readouterr().err.startswith("paretune pareto: tracking store `")


def test_an_empty_sweep_is_one_line(tmp_path, capsys, migrated):
    migrated(tmp_path / "mlflow.db")
    store = Store(f"sqlite:///{tmp_path}/mlflow.db", str(tmp_path / "artifacts"))
    store.create()
    store.client.create_run(
        store.experiment_id, tags={"kind": "sweep", "sweep": "demo"}
    )
    with pytest.raises(SystemExit, match="2"):
        cli(["demo", "--store", str(tmp_path)])

    assert (
        "sweep `demo` has no finished trial that was asked for (0 finished in all)"
        in capsys.readouterr().err
    )
