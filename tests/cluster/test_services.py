"""What the cluster's tests do to the machine that they run on; needs no Slurm."""

import subprocess
import sys

from cluster.services import pids_of_workers


def test_only_the_workers_of_this_test_are_found(tmp_path):
    command = [
        sys.executable,
        "-c",
        "import time; time.sleep(60)",
        "-m",
        "submitit.core._submit",
    ]
    mine, other = (
        subprocess.Popen([*command, str(folder / ".submitit/7")])
        for folder in (tmp_path / "mine", tmp_path / "other")
    )
    try:
        assert pids_of_workers(tmp_path / "mine") == [mine.pid]
    finally:
        mine.kill()
        other.kill()
        mine.wait()
        other.wait()
