"""From a sweep to a model that somebody can use, each command on what the last one
left.
"""

import csv
import json
import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from log_files import closing_log_files
from paretune.commands import confirm, export, pareto, predict, train
from paretune.data.digits import load
from paretune.data.images import Splitting
from paretune.models import build
from paretune.pareto import front, trials
from paretune.reports.findings import read_results
from paretune.reports.query import Query
from paretune.tracking import Store, read_answers, read_confirmations, weights_of
from paretune.tracking.config_tags import config_of, config_tags
from paretune.tracking.runs import find_retrainings, find_runs
from paretune.tracking.schema import RunKind
from paretune.training import load as load_net

pytestmark = pytest.mark.xdist_group("path")  # one process makes the sweep for all

SWEEP = (
    "-m",
    "name=path",
    "data=digits",
    "data.splitting.train_size=400",
    "model=conv",
    "cap.max_params=3000",
    "trainer.max_epochs=2",
    "trainer.autotune=false",
    "hydra.sweeper.n_trials=3",
)


@pytest.fixture(scope="session")
def kept(tmp_path_factory, migrated) -> Path:
    """The store of a sweep, made once."""
    folder = tmp_path_factory.mktemp("kept")
    migrated(folder / "mlflow.db")
    with pytest.MonkeyPatch.context() as patch, suppress(SystemExit):
        patch.setenv("PARETUNE_STORE", str(folder))
        patch.setattr(sys, "argv", ["paretune", *SWEEP])
        with closing_log_files():
            train.cli()
    return folder


@pytest.fixture
def swept(kept, monkeypatch, tmp_path) -> Store:
    """A copy of that store, in a working folder of its own."""
    shutil.copytree(kept, tmp_path / "store")
    monkeypatch.setenv("PARETUNE_STORE", str(tmp_path / "store"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["paretune"])
    return Store(f"sqlite:///{tmp_path}/store/mlflow.db")


def answer(capfd, cli, *arguments: str) -> tuple[int, str, str]:
    capfd.readouterr()
    try:
        cli(list(arguments))
        code = 0
    except SystemExit as leaving:
        code = int(leaving.code or 0)
    return code, *capfd.readouterr()


def follow(capfd, command: str, *options: str) -> str:
    """Run ``paretune COMMAND``; what it names as the next one."""
    name, *arguments = command.split()
    clis = {"pareto": pareto.cli, "confirm": confirm.cli, "export": export.cli}
    code, out, err = answer(capfd, clis[name], *arguments, *options)

    assert code == 0, err
    return out.splitlines()[-1].removeprefix("Next: paretune ")


def test_a_part_of_a_front_and_another_store_are_in_the_next_command(
    swept, capfd, monkeypatch
):
    monkeypatch.delenv("PARETUNE_STORE")
    said = follow(capfd, f"pareto path --max-params 3000 --uri {swept.uri}")
    run = front("path", uri=swept.uri, max_params=3000)["run_id"].iloc[-1]

    assert said == f"confirm path --run {run[:8]} --uri {swept.uri}"


def test_sweep_pareto_confirm_export_predict(swept, capfd):
    """Each command on what the last one left, and as the last one says at its end."""
    assert follow(capfd, "pareto path") == "confirm path"
    assert follow(capfd, "confirm path", "--seeds", "2") == "pareto path --confirmed"
    assert (
        follow(capfd, "pareto path --confirmed") == "export path model.onnx --confirmed"
    )
    assert (
        follow(capfd, "export path model.onnx --confirmed", "--c")
        == "predict model.onnx PICTURE.png"
    )
    digit = load(splitting=Splitting(val_size=200)).load_test().pixels[0, 0]
    Image.fromarray(255 - digit.numpy()).resize((90, 120)).save("digit.png")
    _, said, _ = answer(capfd, predict.cli, "model.onnx", "digit.png", "--json")

    shown = json.loads(said)
    assert np.argmax(shown["probabilities"]) == shown["class"]
    assert shown["steps"].startswith("inverted: its border is bright")
    report = {"front.csv", "front.json", "front.png", "front.svg", "report.html"}
    assert {path.name for path in Path("sweeps/path").iterdir()} == {
        *report,
        "confirmed.csv",
        "confirmed",
    }
    assert {path.name for path in Path("sweeps/path/confirmed").iterdir()} == report
    assert "![Which classes are taken for which others" in Path("model.md").read_text()
    assert Path("model_answers.png").is_file()
    page = Path("sweeps/path/confirmed/report.html").read_text()
    assert "What they get wrong" in page
    assert {path.suffix for path in Path().glob("model.*")} == {
        ".onnx",
        ".safetensors",
        ".md",
        ".yaml",
    }
    assert {path.name for path in Path("model_c").iterdir()} == {
        "model.h",
        "model.c",
        "model_test.c",
        "Makefile",
    }
    assert re.search(
        r"\| C program \| [\d,]+ bytes of code and constants",
        Path("model.md").read_text(),
    )
    assert (
        Path("sweeps/path/front.csv")
        .read_text()
        .startswith("params,macs,ram_bytes,flash_bytes,val_f1")
    )
    assert (
        Path("sweeps/path/confirmed/front.csv")
        .read_text()
        .startswith("params,macs,ram_bytes,flash_bytes,test_f1")
    )


def test_a_program_may_take_its_input_in_another_form(swept, capfd):
    form = ("--c", "--int8", "--input-layout", "hwc", "--input", "floats")
    run = front("path")["run_id"].iloc[0]
    code, out, err = answer(
        capfd, export.cli, "path", "model.onnx", *form, "--run", run
    )
    card = Path("model.md").read_text()

    assert code == 0, err
    assert "model_c/ (Makefile, model.c, model.h, model_test.c)" in out
    assert f"model.onnx {' '.join(form[:1] + form[2:])} --int8" in card
    assert "| C input | float, 0 to 1" in card
    for files in ("model_c/model", "model.int8_c/model_int8"):
        assert "_predict(const float *image" in Path(f"{files}.h").read_text()


def test_a_model_in_int8_predicts_and_its_card_says_what_it_lost(swept, capfd):
    run = front("path")["run_id"].iloc[0]
    options = "--int8", "--run", run
    code, out, err = answer(capfd, export.cli, "path", "model.onnx", *options)
    assert code == 0, err
    Image.fromarray(np.eye(28, dtype=np.uint8) * 255).save("line.png")
    _, said, _ = answer(capfd, predict.cli, "model.int8.onnx", "line.png")

    assert said.startswith("line.png: ")
    assert re.search(
        r"validation F1 in int8: 0\.\d{4} \(0\.\d{4} in float32, these weights\)", out
    )
    assert "| validation F1 in int8 |" in Path("model.md").read_text()


def test_what_is_shipped_in_int8_is_confirmed_by_one_look_at_the_test_set(swept, capfd):
    run = front("path")["run_id"].iloc[0]
    assert (
        answer(
            capfd,
            confirm.cli,
            "path",
            "--seeds",
            "1",
            "--epochs",
            "1",
            "--run",
            run[:8],
            "--int8",
        )[0]
        == 0
    )
    (training,) = read_confirmations(swept, "path").itertuples()
    metrics = swept.client.get_run(training.run_id).data.metrics

    assert training.how == "1 epoch on train, best on validation, in int8"
    assert 0 < training.test_f1 < 1
    # Of the network in float32, whose look at the test set would be a second one.
    assert "test_loss" not in metrics
    answers = read_answers(swept, training.run_id)
    assert answers.confusion.accuracy == pytest.approx(training.test_accuracy)


@pytest.fixture
def confirmed(swept, capfd) -> str:
    """The beginning of the id of a run that was trained again with one seed."""
    run = front("path")["run_id"].iloc[0][:8]
    ask = ("path", "--seeds", "1", "--epochs", "1", "--run", run)
    assert answer(capfd, confirm.cli, *ask)[0] == 0
    return run


def test_the_picture_of_other_weights_does_not_stay(confirmed, capfd):
    ask = ("path", "model.onnx", "--run", confirmed)
    answer(capfd, export.cli, *ask, "--confirmed")
    assert Path("model_answers.png").is_file()
    answer(capfd, export.cli, *ask)

    assert not Path("model_answers.png").exists()
    assert "What it gets wrong" not in Path("model.md").read_text()


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"counts": 1}'])
def test_answers_that_are_damaged_are_one_line(swept, confirmed, capfd, content):
    run = read_confirmations(swept, "path")["run_id"].iloc[-1]
    (file,) = Path(swept.file).parent.rglob(f"*{run}*/**/answers_on_test.json")
    whole = file.read_text()
    file.write_text(content)
    code, _, err = answer(capfd, pareto.cli, "path", "--confirmed")
    file.write_text(whole)

    assert code == 2
    assert re.search(
        r"answers_on_test.json of run `\w+` is damaged \(.+\); delete it, or", err
    )


def test_a_model_is_reported_without_answers_that_are_gone(swept, confirmed, capfd):
    run = read_confirmations(swept, "path")["run_id"].iloc[-1]
    (file,) = Path(swept.file).parent.rglob(f"*{run}*/**/answers_on_test.json")
    file.unlink()
    code, _, err = answer(capfd, pareto.cli, "path", "--confirmed")

    assert (code, err) == (0, "")
    page = Path("sweeps/path/confirmed/report.html").read_text()
    assert "What they get wrong" not in page


def test_answers_about_other_classes_are_not_counted_together(swept, confirmed, capfd):
    ask = ("path", "--seeds", "2", "--epochs", "1", "--run", confirmed)
    answer(capfd, confirm.cli, *ask)
    run = read_confirmations(swept, "path")["run_id"].iloc[0]
    (file,) = Path(swept.file).parent.rglob(f"*{run}*/**/answers_on_test.json")
    file.write_text(file.read_text().replace('"3"', '"three"'))
    answer(capfd, pareto.cli, "path", "--confirmed")

    page = Path("sweeps/path/confirmed/report.html").read_text()
    assert "(answers of 1 of 2 seeds are known)" in page


def test_a_card_says_how_to_have_the_model_again_and_whose_scores_it_has(swept, capfd):
    run = front("path")["run_id"].iloc[0][:8]
    way = ("--epochs", "1", "--int8", "--set", "trainer.batch_size=64")
    answer(capfd, confirm.cli, "path", "--seeds", "1", "--run", run, *way)
    for file, *options in (("search.onnx",), ("again.onnx", "--confirmed")):
        assert answer(capfd, export.cli, "path", file, "--run", run, *options)[0] == 0

    assert (
        f"paretune confirm path --run {run} --seeds 1 {' '.join(way)}\n"
        in Path("again.md").read_text()
    )
    assert "| test F1 |" in Path("again.md").read_text()
    assert (
        "| test F1 of other weights, trained again |" in Path("search.md").read_text()
    )


def test_an_export_into_a_folder_holds_every_member_of_the_front(swept, capfd):
    code, _, err = answer(capfd, export.cli, "path", "zoo")
    members = read_results(swept, ["path"], Query()).members["n_params"].astype(int)

    assert code == 0, err
    assert {path.name for path in Path("zoo").iterdir()} == {
        f"{params}{suffix}"
        for params in members
        for suffix in (".onnx", ".safetensors", ".md", ".yaml")
    }
    assert "paretune export path --run" in Path(f"zoo/{members.iloc[0]}.md").read_text()


def test_an_exported_model_is_trained_again_by_its_recipe(swept, capfd):
    """The same numbers as in the search: the recipe holds the whole training."""
    run = front("path")["run_id"].iloc[0]
    member = read_results(swept, ["path"], Query()).point(run)
    export_this = "path", "models/again.onnx", "--run", run
    assert answer(capfd, export.cli, *export_this)[0] == 0
    Path("conf/recipe").mkdir(parents=True)
    shutil.copy("models/again.yaml", "conf/recipe")
    card = Path("models/again.md").read_text()
    line = re.search(r"paretune train (.*)  # with again.yaml", card)
    code, _, err = answer(capfd, train.cli, *shlex.split(line[1]))
    (run,) = find_runs(swept, {"recipe": "again"})

    assert code == 0, err
    assert run.data.metrics["val_f1"] == member.f1
    assert config_of(run.tags)["model"] == member.config["model"]


def test_a_model_near_chance_is_exported_by_its_name_alone(swept, capfd):
    code, _, err = answer(capfd, export.cli, "path", "model.onnx")

    assert (code, len(err.splitlines())) == (2, 1)
    assert "sweep `path` has no model to take: the best has F1 0." in err
    assert "or name one with --run" in err


def test_a_config_of_ones_own_is_not_written_over_by_a_recipe(swept, capfd):
    Path("mine.yaml").write_text("# @package _global_\nname: mine\n")
    run = front("path")["run_id"].iloc[0]
    code, _, err = answer(capfd, export.cli, "path", "mine.onnx", "--run", run)

    assert (code, len(err.splitlines())) == (2, 1)
    assert err.startswith("paretune export: file `mine.yaml` is no recipe, and the one")
    assert Path("mine.yaml").read_text().endswith("name: mine\n")
    assert answer(capfd, export.cli, "path", "model.onnx", "--run", run)[0] == 0
    assert (
        answer(capfd, export.cli, "path", "model.onnx", "--run", run)[0] == 0
    )  # over its own


@contextmanager
def group_norms(swept, run: str) -> Iterator[None]:
    """Within the block the run has a network of another kind, whose norms cannot be
    written in whole numbers.
    """
    with weights_of(swept, run) as path:
        content, own = torch.load(path, weights_only=True), path.read_bytes()
        content["config"]["model"] |= {"norm": "group", "bias": True}
        content["state_dict"] = build(content["config"]["model"]).state_dict()
        torch.save(content, path)
        swept.client.log_artifact(run, str(path))
        yield
        path.write_bytes(own)
        swept.client.log_artifact(run, str(path))  # other tests have these files, too


@pytest.mark.parametrize(
    ("why", "target", "says"),
    [
        (
            "no compiler",
            "zoo",
            (
                "(model `[0-9]+.onnx`: )?C compiler `gcc` is not on the PATH; .*; no "
                "file was written"
            ),
        ),
        (
            "no compiler",
            "model.onnx",
            "C compiler `gcc` is not on the PATH; .*; no file was written",
        ),
        (
            "group norm",
            "model.onnx",
            (
                r"layer `norm1` \(GroupNorm\) cannot be exported: operation `.*` "
                r"cannot be written in C"
            ),
        ),
    ],
)
def test_a_refused_export_leaves_everything_as_it_was(
    swept, capfd, monkeypatch, why, target, says
):
    run = front("path")["run_id"].iloc[0]
    Path("model.onnx").write_text("an older model")
    before = sorted(Path().iterdir())
    if why == "no compiler":
        monkeypatch.setenv("PATH", "")
    options = () if target == "zoo" else ("--run", run)
    with group_norms(swept, run) if why == "group norm" else nullcontext():
        code, _, err = answer(
            capfd, export.cli, "path", target, "--c", "--int8", *options
        )

    assert (code, len(err.splitlines())) == (2, 1)
    assert re.fullmatch(f"paretune export: {says}.*", err.strip())
    assert sorted(Path().iterdir()) == before
    assert Path("model.onnx").read_text() == "an older model"


@pytest.mark.slow
def test_confirming_again_trains_only_what_is_missing(swept, capfd):
    counts = []
    for seeds in ("1", "1", "2"):
        assert (
            answer(capfd, confirm.cli, "path", "--seeds", seeds, "--epochs", "1")[0]
            == 0
        )
        counts.append(len(read_confirmations(swept, "path")))
    with Path("sweeps/path/confirmed.csv").open() as file:
        rows = list(csv.DictReader(file))

    assert counts == [len(rows), len(rows), 2 * len(rows)]
    assert {row["how"] for row in rows} == {"1 epoch on train, best on validation"}
    # Not the search's own.
    assert set(read_confirmations(swept, "path")["seed"]) == {1, 2}


@pytest.mark.slow
def test_a_seed_that_was_missed_is_made_up_for(swept, capfd):
    run = front("path")["run_id"].iloc[0]
    ask = ("path", "--epochs", "1", "--run", run[:8], "--seeds")
    assert answer(capfd, confirm.cli, *ask, "2")[0] == 0
    trainings = read_confirmations(swept, "path").set_index("seed")
    swept.client.delete_run(trainings.loc[1, "run_id"])
    _, out, _ = answer(capfd, confirm.cli, *ask, "2")

    assert "1 training to go" in out
    assert list(read_confirmations(swept, "path")["seed"]) == [2, 1]


def test_a_training_that_cannot_begin_is_a_failed_run_and_tried_again(
    swept, capfd, monkeypatch
):
    """Without the run the same command would find its study complete, and say that
    nothing is left to do.
    """
    run = front("path")["run_id"].iloc[0]
    ask = ("path", "--epochs", "1", "--run", run[:8], "--seeds", "1")
    with monkeypatch.context() as patch:
        patch.delattr("paretune.data.digits.load")
        assert answer(capfd, confirm.cli, *ask)[0] == 2
    assert [
        run.data.tags["state"]
        for run in find_retrainings(swept, "path", RunKind.CONFIRM)
    ] == ["failed"]
    assert answer(capfd, confirm.cli, *ask)[0] == 0
    assert list(read_confirmations(swept, "path")["seed"]) == [1]


@pytest.mark.slow
def test_a_training_that_was_killed_every_time_is_made_up_for(swept, capfd):
    """Its trial is over, so the study it belonged to has nothing left to do."""
    run = front("path")["run_id"].iloc[0]
    ask = ("path", "--epochs", "1", "--run", run[:8], "--seeds", "1")
    answer(capfd, confirm.cli, *ask)
    swept.client.set_tag(
        read_confirmations(swept, "path")["run_id"][0], "state", "killed"
    )
    _, out, _ = answer(capfd, confirm.cli, *ask)

    assert "1 training to go" in out
    assert list(read_confirmations(swept, "path")["seed"]) == [1]


@pytest.mark.slow
def test_a_confirmed_export_is_of_one_way_of_confirming(swept, capfd):
    run = front("path")["run_id"].iloc[-1]
    for epochs in ("1", "3"):
        answer(
            capfd,
            confirm.cli,
            "path",
            "--seeds",
            "1",
            "--epochs",
            epochs,
            "--run",
            run[:8],
        )
    best = read_confirmations(swept, "path").sort_values("test_f1").iloc[-1]
    code, _, _ = answer(
        capfd, export.cli, "path", "model.onnx", "--confirmed", "--run", run[:8]
    )
    with weights_of(swept, best.run_id) as path:
        net, config, _ = load_net(path)

    assert code == 0
    assert (
        f"{best.test_f1:.4f} over 1 seed ({best.how})" in Path("model.md").read_text()
    )
    assert (
        f"max_epochs: {config['trainer']['max_epochs']}" in Path("model.md").read_text()
    )
    kept = load_file("model.safetensors")
    assert all(
        torch.equal(kept[name], value) for name, value in net.state_dict().items()
    )


@pytest.mark.slow
def test_training_on_all_images_keeps_the_last_epoch_and_is_told_apart(swept, capfd):
    run = front("path")["run_id"].iloc[0]
    code, _, _ = answer(
        capfd,
        confirm.cli,
        "path",
        "--seeds",
        "1",
        "--train-on",
        "train+val",
        "--run",
        run[:8],
    )
    (training,) = read_confirmations(swept, "path").itertuples()
    config = json.loads(swept.client.get_run(training.run_id).data.tags["config"])

    assert code == 0
    assert training.how == "2 epochs on train+val, the last"
    assert "'train_on_val': True" in str(config["data"])


@pytest.mark.parametrize(
    ("cli", "arguments", "said"),
    [
        (
            pareto.cli,
            ["pth"],
            "paretune pareto: sweep `pth` is not in the tracking store",
        ),
        (
            pareto.cli,
            ["path", "--min-f1", "99"],
            "--min-f1 `99.0` is invalid; expected a number from 0 to 1",
        ),
        (
            pareto.cli,
            ["path", "--confirmed"],
            ("has no confirmed model; run paretune confirm path first"),
        ),
        (
            pareto.cli,
            ["path", "--family", "dense"],
            "--family `dense` is of no trial of path; the families there are conv",
        ),
        (
            pareto.cli,
            ["path", "--beats", "LeNet"],
            (
                "--beats `LeNet` names no published point, as there are none for this "
                "data set; leave it out"
            ),
        ),
        (
            confirm.cli,
            ["path", "--run", "xyz"],
            "--run `xyz` fits 0 complete trials of path; expected one",
        ),
        (
            pareto.cli,
            ["path", "--over", "nothing"],
            "--over `nothing` cannot be drawn (0 of 3 trials have a number",
        ),
        (
            confirm.cli,
            ["path", "seeds=3"],
            (
                "argument `seeds=3` is no setting of Hydra, such as "
                "hydra/launcher=submitit_slurm or storage=URL; write --set"
            ),
        ),
        (
            confirm.cli,
            ["path", "--near", "2"],
            "--near `2.0` is invalid; expected a number from 0 to 1",
        ),
        (
            confirm.cli,
            ["path", "--teacher", "store/mlflow.db"],
            (
                "checkpoint `store/mlflow.db` cannot be read (no weights); expected "
                "the weights.pt"
            ),
        ),
        (
            confirm.cli,
            ["path", "--store", "nowhere"],
            "does not exist; run a sweep first",
        ),
        (export.cli, ["path", "model.pt"], "MODEL `model.pt` does not end with .onnx"),
        (
            export.cli,
            ["path", "model.onnx", "--run", "xyz"],
            "--run `xyz` fits 0 complete trials",
        ),
        (
            export.cli,
            ["path", "model.onnx", "--int8", "--input-layout", "hwc"],
            "--input-layout `hwc` is about the C program; ask for it by --c, or leave",
        ),
        (
            export.cli,
            ["path", "m.onnx", "--c", "--input-layout", "rgb565", "--input", "floats"],
            "--input-layout `rgb565` holds whole pixels, and --input `floats` others;",
        ),
        (
            confirm.cli,
            ["path", "--run", "a", "--near", "0.1"],
            (
                "argument --near: not allowed with argument --run; paretune confirm "
                "--help says more"
            ),
        ),
        (
            predict.cli,
            ["none.onnx", "a.png"],
            "model `none.onnx` is not there; check the path",
        ),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_two(swept, capfd, cli, arguments, said):
    code, _, err = answer(capfd, cli, *arguments)

    assert code == 2
    assert said in err
    assert len(err.strip().splitlines()) == 1


def test_a_grey_picture_has_no_rgb565(swept, capfd):
    run = front("path")["run_id"].iloc[0]
    form = ("--c", "--input-layout", "rgb565", "--run", run)
    code, _, err = answer(capfd, export.cli, "path", "model.onnx", *form)

    assert code == 2
    assert (
        "--input-layout `rgb565` is for pictures in red, green and blue, and the "
        "model takes grey pictures; choose chw or hwc; no file was written"
    ) in err


COMMAND = {"_target_": "os.system", "command": "touch run"}


def test_an_export_runs_nothing_that_a_foreign_weights_file_names(swept, capfd):
    run = front("path")["run_id"].iloc[0]
    with weights_of(swept, run) as path:
        content, own = torch.load(path, weights_only=True), path.read_bytes()
        content["config"] |= {"model": COMMAND, "data": COMMAND}
        torch.save(content, path)
        swept.client.log_artifact(run, str(path))
        code, _, err = answer(capfd, export.cli, "path", "model.onnx", "--run", run)
        path.write_bytes(own)
        swept.client.log_artifact(run, str(path))  # other tests have these files, too

    assert (code, len(err.splitlines())) == (2, 1)
    assert (
        "folder name: model._target_ `os.system`, data._target_ `os.system`; none "
        "of it was run"
    ) in err
    assert not Path("run").exists()
    assert not list(Path().glob("model.*"))


@pytest.mark.parametrize("part", ["model", "data", "optimizer", "scheduler", "augment"])
def test_confirming_runs_nothing_that_a_foreign_run_names(swept, capfd, part):
    member = read_results(swept, ["path"], Query()).members.iloc[0]
    swept.set_tags(member["run_id"], config_tags({**member["config"], part: COMMAND}))
    code, _, err = answer(
        capfd, confirm.cli, "path", "--seeds", "1", "--run", member["run_id"]
    )

    assert code == 2
    assert (
        f"run `{member['run_id']}` names code or files that neither Paretune nor" in err
    )
    assert f"{part}._target_ `os.system`" in err
    assert not Path("run").exists()


def test_the_library_gives_trials_and_front_as_tables(swept):
    table = trials("path")
    members = front("path", max_params=3000)

    assert list(table["trial"]) == [0, 1, 2]
    assert set(table["state"]) == {"complete"}
    assert {"param.model.widths.0", "val_f1", "n_params", "seconds"} <= set(
        table.columns
    )
    assert members["n_params"].is_monotonic_increasing
    assert members["val_f1"].is_monotonic_increasing
    assert set(members["run_id"]) == set(table[table["front"]]["run_id"])
