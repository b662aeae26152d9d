"""Real sweeps through Slurm, PostgreSQL and an MLflow server, on digits."""

import math
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import optuna
import pytest
from optuna.trial import TrialState

from cluster.services import PASSWORD, pids_of_workers
from paretune.tracking import Store
from paretune.tracking.runs import find_runs
from small_sweep import PARETUNE

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("cluster")]

ROOT = Path(__file__).parents[2]
WORKERS = 4
SWEEP = (
    "-m",
    "data=digits",
    "data.splitting.train_size=400",
    "model=squeeze",
    "cap.max_params=4000",
    "trainer.max_epochs=3",
    "trainer.autotune=false",
    f"hydra.sweeper.n_jobs={WORKERS}",
    "hydra/launcher=submitit_slurm",
    "hydra.launcher.partition=all",
    "hydra.launcher.timeout_min=30",
    "hydra.launcher.cpus_per_task=1",
    "hydra.launcher.mem_gb=null",
)


@pytest.fixture
def cluster(slurm, postgres, server, tmp_path, request) -> SimpleNamespace:
    """The services, the environment and the command of a sweep named after the test."""
    name = request.node.name
    env = {
        **os.environ,
        "PGPASSFILE": str(postgres.passfile),
        "PARETUNE_STORE": str(tmp_path / "store"),
        "OMP_NUM_THREADS": "1",
    }
    settings = [
        *SWEEP,
        f"name={name}",
        f"storage={postgres.url}",
        f"tracking.uri={server.uri}",
    ]
    os.environ["PGPASSFILE"] = str(postgres.passfile)
    return SimpleNamespace(
        slurm=slurm,
        postgres=postgres,
        server=server,
        name=name,
        env=env,
        settings=settings,
        out=tmp_path / "out.log",
        store=Store(server.uri),
        folder=tmp_path,
    )


def start(cluster: SimpleNamespace, n_trials: int) -> subprocess.Popen[bytes]:
    command = [
        *PARETUNE,
        "train",
        *cluster.settings,
        f"hydra.sweeper.n_trials={n_trials}",
    ]
    with cluster.out.open("a") as log:
        return subprocess.Popen(
            command, cwd=ROOT, env=cluster.env, stdout=log, stderr=log
        )


def study_of(cluster: SimpleNamespace) -> optuna.Study:
    return optuna.load_study(study_name=cluster.name, storage=cluster.postgres.url)


def wait_for(condition: Callable[[], bool], at_most_s: float, what: Path) -> None:
    deadline_s = time.monotonic() + at_most_s
    while not _holds(condition):
        assert time.monotonic() < deadline_s, what.read_text()[-4000:]
        time.sleep(1)


def _holds(condition: Callable[[], bool]) -> bool:
    try:
        return condition()
    except Exception:  # a service is away, which some tests are about
        return False


def done(cluster: SimpleNamespace) -> int:
    return len(
        study_of(cluster).get_trials(
            states=(TrialState.COMPLETE, TrialState.FAIL, TrialState.PRUNED)
        )
    )


def check_agreement(cluster: SimpleNamespace, n_trials: int) -> None:
    """Exactly ``n_trials`` in Optuna; the same in MLflow, number by number; nothing
    RUNNING, nothing twice, nothing spooled.
    """
    trials = study_of(cluster).trials
    counted = [trial for trial in trials if trial.state != TrialState.WAITING]
    runs = find_runs(cluster.store, {"sweep": cluster.name, "kind": "trial"})
    complete = {
        int(run.data.tags["trial"]): run
        for run in runs
        if run.data.tags.get("state") == "complete"
    }
    finished = {
        trial.number: trial for trial in counted if trial.state == TrialState.COMPLETE
    }

    assert [trial.number for trial in counted] == list(range(n_trials))
    assert {trial.state for trial in counted} <= {TrialState.COMPLETE, TrialState.FAIL}
    assert sorted(complete) == sorted(finished)
    assert (
        Counter(
            run.data.tags["trial"]
            for run in runs
            if run.data.tags.get("state") == "complete"
        ).most_common(1)[0][1]
        == 1
    )
    assert all(run.info.status != "RUNNING" for run in runs)
    for number, trial in finished.items():
        metrics = complete[number].data.metrics
        assert trial.values == [metrics["n_params"], pytest.approx(metrics["val_f1"])]
        assert not math.isnan(metrics["val_loss"])
    spool = cluster.folder / "store/spool"
    assert not spool.is_dir() or not list(spool.glob("[!.]*"))


def test_a_sweep_through_all_three_agrees_and_keeps_the_password(cluster, folder):
    began_s = time.monotonic()
    assert start(cluster, 16).wait(timeout=900) == 0, cluster.out.read_text()[-4000:]
    print(f"16 trials, {WORKERS} Slurm workers, {time.monotonic() - began_s:.0f} s")

    check_agreement(cluster, 16)
    assert files_with(PASSWORD, cluster.folder) == []
    assert files_with(PASSWORD, folder, but=cluster.postgres.passfile) == []


def files_with(text: str, folder: Path, but: Path | None = None) -> list[Path]:
    return [
        path
        for path in folder.rglob("*")
        if path.is_file() and path != but and text.encode() in path.read_bytes()
    ]


def test_a_password_in_a_setting_is_refused_before_anything_is_written(cluster):
    secret = cluster.postgres.url.replace("ann@", f"ann:{PASSWORD}@")
    command = [
        *PARETUNE,
        "train",
        *cluster.settings,
        f"storage={secret}",
    ]
    answer = subprocess.run(
        command, cwd=ROOT, env=cluster.env, capture_output=True, text=True, check=False
    )

    assert answer.returncode == 2
    assert "ann:***@127.0.0.1" in answer.stderr
    assert PASSWORD not in answer.stdout + answer.stderr
    assert files_with(PASSWORD, cluster.folder) == []


def test_a_worker_joins_from_anywhere_by_hand(cluster):
    parent = start(cluster, 16)
    wait_for(lambda: done(cluster) >= 1, 300, cluster.out)
    entry = "from paretune.commands.worker import cli; cli()"
    mine = [setting for setting in cluster.settings if setting != "-m"] + [
        "hydra.sweeper.n_trials=16"
    ]
    joined = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", entry, *mine],
        cwd=ROOT,
        env=cluster.env,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )

    assert joined.returncode == 0, joined.stderr
    assert f"joined sweep {cluster.name}" in joined.stdout
    assert parent.wait(timeout=300) == 0
    check_agreement(cluster, 16)


def test_a_finished_sweep_leaves_no_worker_in_the_queue(cluster):
    """Another job holds three of four cores, so that one worker does all and three wait
    for longer than the sweep takes.
    """
    command = [
        "sbatch",
        "--parsable",
        "--cpus-per-task=3",
        "--output=/dev/null",
        "--wrap=sleep 900",
    ]
    other = subprocess.run(
        command, capture_output=True, text=True, check=True
    ).stdout.strip()
    wait_for(lambda: other in cluster.slurm.jobs(), 60, cluster.out)

    assert start(cluster, 3).wait(timeout=600) == 0, cluster.out.read_text()[-4000:]
    assert cluster.slurm.jobs() == [other]
    assert cluster.slurm.jobs("PD") == []
    assert "ended early" not in cluster.out.read_text()
    subprocess.run(["scancel", other], check=True)
    check_agreement(cluster, 3)


def test_everything_breaks_once_and_the_sweep_ends_at_its_total(cluster):
    """scancel, kill -9, PostgreSQL restarted, the server away for 30 s, slurmd
    restarted, the parent killed and started again.
    """
    total = 120
    parent = start(cluster, total)
    wait_for(lambda: done(cluster) >= 2, 300, cluster.out)
    subprocess.run(["scancel", cluster.slurm.jobs()[0]], check=True)
    wait_for(lambda: done(cluster) >= 5, 300, cluster.out)
    os.kill(pids_of_workers(cluster.folder)[-1], signal.SIGKILL)
    wait_for(lambda: done(cluster) >= 8, 300, cluster.out)
    cluster.postgres.stop()
    time.sleep(5)
    cluster.postgres.start()
    wait_for(lambda: done(cluster) >= 16, 300, cluster.out)
    cluster.server.stop()
    time.sleep(30)
    cluster.server.start()
    wait_for(lambda: done(cluster) >= 60, 600, cluster.out)
    cluster.slurm.stop_node()
    time.sleep(5)
    cluster.slurm.start_node()
    wait_for(lambda: done(cluster) >= 70, 300, cluster.out)
    parent.kill()
    parent.wait()
    again = start(cluster, total)

    assert again.wait(timeout=900) == 0, cluster.out.read_text()[-4000:]
    check_agreement(cluster, total)
