"""Disks that are full, stores that are gone or locked, and stops meanwhile: real
sweeps, on a disk of their own.
"""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import psutil
import pytest

from small_sweep import PARETUNE

APP = Path(__file__).parent / "apps" / "faulty"
ROOT = Path(__file__).parents[2]
ENDS_WITHIN_S = 40  # on a machine that is busy; 5 or 15 on a quiet one


@pytest.fixture
def disk(tmp_path) -> Iterator[Path]:
    """A small disk of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if (
        os.geteuid()
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=24m", "none", folder], check=False
        ).returncode
    ):
        pytest.skip("only root mounts a disk")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a sweep without an end, and waits until a trial runs."""
    started = []

    def run(folder: Path, *overrides: str) -> subprocess.Popen[str]:
        command = [
            sys.executable,
            "app.py",
            "-m",
            f"hydra.sweep.dir={folder}/trials",
            f"hydra.sweeper.storage=sqlite:///{folder}/optuna.db",
            "hydra.sweeper.n_trials=1000000",
            "hydra/sweeper/sampler=random",
            *overrides,
        ]
        env = os.environ | {
            "PYTHONPATH": os.pathsep.join([".", os.environ.get("PYTHONPATH", "")])
        }
        pipe = subprocess.PIPE
        process = subprocess.Popen(
            command, cwd=APP, env=env, stdout=pipe, stderr=subprocess.STDOUT, text=True
        )
        started.append(process)
        wait_for(lambda: claimed(folder) > 0)
        return process

    yield run
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def claimed(folder: Path) -> int:
    """How many trials some process has claimed by now."""
    with closing(
        sqlite3.connect(f"file:{folder}/optuna.db?mode=ro", uri=True)
    ) as study:
        return study.execute(
            "SELECT count(*) FROM trial_system_attributes WHERE key = 'paretune:worker'"
        ).fetchone()[0]


def wait_for(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + 120
    while time.monotonic() < deadline_s:
        with suppress(sqlite3.Error):
            if condition():
                return
        time.sleep(0.1)
    pytest.fail("nothing happened")


def workers_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def full(folder: Path) -> None:
    with suppress(OSError), (folder / "large").open("wb", buffering=0) as file:
        while file.write(bytes(512)):
            pass


def deleted(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)  # the folder itself is mounted


def garbled(folder: Path) -> None:
    (folder / "optuna.db").write_bytes(b"\xff" * 40_000)


FAULTS = {full: "its disk is full; free some space", deleted: "it ", garbled: "it is "}


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_what_a_person_must_mend_ends_a_sweep_with_one_line(disk, start, fault, n_jobs):
    process = start(
        disk, "kind=choice(fine)", f"hydra.sweeper.n_jobs={n_jobs}", "epochs=3"
    )
    fault(disk)
    output, _ = process.communicate(timeout=ENDS_WITHIN_S)

    assert f"` cannot be used: {FAULTS[fault]}" in output
    assert (process.returncode, output.count("Traceback")) == (1, 0), output


@pytest.mark.slow
def test_paretunes_own_command_ends_with_exit_code_2(disk, capfd):
    command = [
        *PARETUNE,
        "train",
        "-m",
        "name=full",
        "data=digits",
        "model=conv",
        "trainer.autotune=false",
    ]
    process = subprocess.Popen(
        command, cwd=ROOT, env=os.environ | {"PARETUNE_STORE": str(disk)}
    )
    wait_for(lambda: claimed(disk) > 0)
    full(disk)

    assert process.wait(ENDS_WITHIN_S) == 2
    err = capfd.readouterr().err.splitlines()
    assert err[-1].startswith("paretune train: ")
    assert err[-1].endswith(
        "its disk is full; free some space; the same command then goes on from here"
    )
    assert "Traceback" not in "".join(err)


@pytest.mark.slow
def test_once_there_is_room_the_same_command_goes_on(disk, start):
    process = start(disk, "kind=choice(fine)", "epochs=3")
    full(disk)
    process.communicate(timeout=ENDS_WITHIN_S)
    before = claimed(disk)
    (disk / "large").unlink()
    process = start(disk, "kind=choice(fine)", "epochs=3")
    wait_for(lambda: claimed(disk) > before)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=ENDS_WITHIN_S)

    assert process.returncode == 143, output


@pytest.mark.slow
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_sigterm_ends_a_sweep_whose_study_is_locked_and_all_its_workers(
    tmp_path, start, n_jobs
):
    process = start(tmp_path, "kind=choice(sleep)", f"hydra.sweeper.n_jobs={n_jobs}")
    workers = workers_of(process)
    with closing(
        sqlite3.connect(tmp_path / "optuna.db", timeout=30, isolation_level=None)
    ) as other:
        other.execute("BEGIN EXCLUSIVE")
        time.sleep(3)  # both are waiting for it
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=ENDS_WITHIN_S)

    assert process.returncode in (143, -signal.SIGKILL, -signal.SIGALRM), output
    assert psutil.wait_procs(workers, timeout=3)[1] == []


@pytest.mark.slow
def test_sigterm_ends_a_trial_that_does_not_hear(tmp_path, start):
    process = start(tmp_path, "kind=choice(deaf)")
    time.sleep(2)
    process.send_signal(signal.SIGTERM)

    assert process.wait(ENDS_WITHIN_S) in (143, -signal.SIGKILL)


@pytest.mark.slow
def test_no_worker_outlives_its_parent(tmp_path, start):
    process = start(
        tmp_path, "kind=choice(fine)", "hydra.sweeper.n_jobs=2", "epochs=100000"
    )
    workers = workers_of(process)
    process.kill()
    process.communicate()

    assert workers
    assert psutil.wait_procs(workers, timeout=ENDS_WITHIN_S)[1] == []
