"""What Hydra loads at every start, and what the console shows of a sweep."""

import pickle
import subprocess
import sys

import optuna

from hydra_plugins.paretune_sweeper._session import Progress
from paretune.front import front_volume
from paretune.search.costs import Caps
from search.test_limits import study_of


def test_nothing_heavy_is_imported_before_a_sweep():
    code = (
        "import sys, hydra_plugins.paretune_sweeper.sweeper\n"
        "print(*{'optuna', 'numpy', 'sqlalchemy', 'torch'} & set(sys.modules))"
    )

    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "\n"


def test_options_travel_to_workers():
    from hydra_plugins.paretune_sweeper import CapOptions, SweepOptions

    options = SweepOptions(sampler={"_target_": "optuna.samplers.RandomSampler"}, cap=CapOptions(max=841, cost="bytes"))

    assert pickle.loads(pickle.dumps(options)) == options


def test_the_status_line_counts_trials_and_names_the_best():
    line = Progress(study_of((3670, 0.9871), (900, 0.95), None), 10, Caps({}, "params")).line()

    assert line.startswith("3 of 10 done | 1 failed | front 2 | hypervolume ")
    assert line.endswith("| best 0.9871 at 3,670")


def test_the_status_line_has_the_volume_that_the_store_has():
    progress = Progress(study_of((900, 0.95), (3670, 0.9871)), 9, Caps({"params": 5000}, "params"))

    assert f"hypervolume {front_volume([900, 3670], [0.95, 0.9871], 5000):.3f}" in progress.line()


def test_the_time_to_go_is_told_once_a_trial_has_ended():
    study = optuna.create_study()
    progress = Progress(study, 2, Caps({}, "params"))
    assert progress.line() == "0 of 2 done"

    progress.started_s -= 1e5
    study.tell(study.ask(), 1.0)
    assert progress.line().endswith("min left")


def test_a_trial_that_another_worker_finished_is_logged_once(caplog):
    caplog.set_level("INFO")
    study = study_of(directions=("minimize",))
    progress = Progress(study, 2, Caps({}, "params"))
    study.tell(study.ask(), 1.0)
    for _ in range(2):
        progress()

    assert caplog.text.count("trial 0: complete 1") == 1
    assert caplog.text.count("1 of 2 done") == 1
