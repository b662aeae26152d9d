"""What Hydra loads at every start, and what the console shows of a sweep."""

import io
import os
import pickle
import pty
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import optuna
import pytest
from rich.console import Console

from hydra_plugins.paretune_sweeper._panel import IN_HAND, MEMBER, Panel
from hydra_plugins.paretune_sweeper._progress import Progress
from hydra_plugins.paretune_sweeper._scatter import Marks, plot_scatter
from paretune.front import front_volume
from paretune.pause import Pause
from paretune.search.caps import Caps
from paretune.search.claims import LATEST, pause
from paretune.search.storage import note
from search.settings import LIMITS
from search.test_limits import study_of


def test_nothing_heavy_is_imported_before_a_sweep():
    code = (
        "import sys, hydra_plugins.paretune_sweeper.sweeper\n"
        "print(*{'optuna', 'numpy', 'sqlalchemy', 'torch'} & set(sys.modules))"
    )

    assert (
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout
        == "\n"
    )


def test_options_travel_to_workers():
    from hydra_plugins.paretune_sweeper import CapOptions, SweepOptions

    options = SweepOptions(
        sampler={"_target_": "optuna.samplers.RandomSampler"},
        cap=CapOptions(max=841, cost="bytes"),
    )

    assert pickle.loads(pickle.dumps(options)) == options


def test_the_status_line_counts_trials_and_names_the_best():
    line = Progress(
        study_of((3670, 0.9871), (900, 0.95), (900, 0.95), None), 10, Caps({}, "params")
    ).line()

    assert line.startswith("4 of 10 done | 1 failed | front 2 | hypervolume ")
    assert line.endswith("| best 0.9871 at 3,670")


def test_the_status_line_counts_trials_that_wait_at_a_rung():
    study = study_of((900, 0.95))
    pause(study, study.ask(), Pause(1, 0.1))
    line = Progress(study, 10, Caps({}, "params")).line()

    assert line.startswith("1 of 10 done | 1 waiting | front 1 |")


def test_the_status_line_has_the_volume_that_the_store_has():
    progress = Progress(
        study_of((900, 0.95), (3670, 0.9871)), 9, Caps({"params": 5000}, "params")
    )

    assert (
        f"hypervolume {front_volume([900, 3670], [0.95, 0.9871], 5000):.3f}"
        in progress.line()
    )


def test_the_time_to_go_is_told_once_a_trial_has_ended():
    study = optuna.create_study()
    progress = Progress(study, 2, Caps({}, "params"))
    assert progress.line() == "0 of 2 done"

    progress.started_s -= 1e5
    study.tell(study.ask(), 1.0)
    assert progress.line().endswith("min left")


@pytest.mark.parametrize(
    ("timeout_s", "left"), [(605, "10 min 5 s left"), (10**9, "27 h 46 min left")]
)
def test_the_time_to_go_is_no_longer_than_the_sweep_has(timeout_s, left, monkeypatch):
    study = optuna.create_study()
    monkeypatch.setattr(time, "time", lambda: 0.0)
    replace(LIMITS, timeout_s=timeout_s).begin(study)
    progress = Progress(study, 2, Caps({}, "params"))
    assert progress.line().endswith(" left")

    progress.started_s -= 1e5
    study.tell(study.ask(), 1.0)
    assert progress.line().endswith(left)


def test_a_trial_that_another_worker_finished_is_logged_once(caplog):
    caplog.set_level("INFO")
    study = study_of(directions=("minimize",))
    progress = Progress(study, 2, Caps({}, "params"))
    study.tell(study.ask(), 1.0)
    for _ in range(2):
        progress()

    assert caplog.text.count("trial 0: complete 1") == 1
    assert caplog.text.count("1 of 2 done") == 1


def panel_lines(study: optuna.Study, columns: int, rows: int) -> list[str]:
    console = Console(width=columns, height=rows, file=io.StringIO())
    console.print(Panel(Progress(study, 9, Caps({"params": 5000}, "params"))))
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize(("columns", "rows"), [(80, 24), (120, 40)])
def test_the_panel_draws_the_front_and_the_trials_in_hand_into_its_terminal(
    columns, rows
):
    study = study_of((900, 0.95), (3670, 0.9871), (3700, 0.8))
    note(study, study.ask(), LATEST, [7, 2000.0, 0.97])
    lines = panel_lines(study, columns, rows)

    assert len(lines) < rows
    assert max(map(len, lines)) <= columns
    assert sum(line.count(MEMBER) for line in lines[1:]) == 2
    assert sum(line.count(IN_HAND) for line in lines[1:]) == 1
    assert any(
        line.startswith("trial 3: ") and "epoch 7: 0.9700 at 2,000" in line
        for line in lines
    )


@pytest.mark.parametrize(
    "report", [[7, 2000.0, float("nan")], [7, float("inf"), 0.9], [7, 0.9]]
)
def test_a_report_that_has_no_place_in_the_plot_is_left_out(report):
    study = study_of((900, 0.95))
    note(study, study.ask(), LATEST, report)

    assert not any(
        IN_HAND in line
        for line in panel_lines(study, 80, 24)[1:20]
        if "trial" not in line
    )


def test_a_low_terminal_shows_the_line_without_the_plot():
    assert panel_lines(study_of((900, 0.95)), 200, 8) == [
        "1 of 9 done | front 1 | hypervolume 0.969 | best 0.9500 at 900"
    ]


def test_one_objective_has_no_plot():
    lines = panel_lines(study_of((0.5,), directions=("maximize",)), 80, 24)

    assert lines == ["1 of 9 done | best 0.5000"]


def test_a_plot_has_high_scores_above_and_large_costs_to_the_right():
    groups = [
        Marks("a", np.array([[100, 0.1]])),
        Marks("b", np.array([[10_000, 0.01]])),
    ]
    lines = plot_scatter(groups, 40, 5)

    assert lines[0] == f"0.9900 ┤{'b':>32}"
    assert lines[4] == f"0.9000 ┤a{'':31}"
    assert lines[-1].split() == ["100", "1,000", "10,000"]


@pytest.mark.slow
def test_in_a_terminal_a_sweep_with_workers_shows_its_panel(tmp_path):
    """A real pseudo-terminal; the app has two objectives."""
    ours, theirs = pty.openpty()
    app = Path(__file__).parent / "apps/multi"
    command = [
        sys.executable,
        "app.py",
        "-m",
        f"hydra.sweep.dir={tmp_path}",
        "hydra.sweeper.n_jobs=2",
        "hydra.sweeper.n_trials=4",
    ]
    with subprocess.Popen(
        command,
        cwd=app,
        env=os.environ
        | {"PYTHONPATH": os.pathsep.join([".", os.environ.get("PYTHONPATH", "")])},
        stdout=theirs,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        shown = b""
        while part := read(ours):
            shown += part

    assert process.returncode == 0
    assert b"4 of 4 done" in shown
    assert b"\x1b[" in shown  # the panel goes up to draw itself anew


def read(terminal: int) -> bytes:
    """What the terminal shows next; nothing once its program has ended."""
    try:
        return os.read(terminal, 65536)
    except OSError:
        return b""
