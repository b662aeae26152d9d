"""Knowing soon when a Slurm job is gone."""

import subprocess

from submitit.slurm.slurm import SlurmInfoWatcher, SlurmJob, read_job_id

__all__ = ["watch_the_queue"]

DELAY_S = 15
QUEUE = ("squeue", "--me", "--states=all", "--noheader", "--array", "--format=%i|%T|%N")
GONE = {"State": "GONE", "NodeList": ""}


class QueueWatcher(SlurmInfoWatcher):
    """Asks ``squeue``, which every cluster has, instead of ``sacct``, which needs an accounting database, every few seconds.

    submitit asks ``sacct`` every ten minutes: so long would a killed worker go unnoticed. A job that the queue has no more is
    done, whatever became of it; its result file says whether it went well.
    """

    def _make_command(self) -> list[str] | None:
        return list(QUEUE) if self._registered - self._finished else None

    def read_info(self, string: bytes | str) -> dict[str, dict[str, str]]:
        """State and nodes of every registered job by its id."""
        text = string.decode() if isinstance(string, bytes) else string
        known: dict[str, dict[str, str]] = {}
        for line in text.splitlines():
            job, state, nodes = line.strip().split("|")
            known["_".join(read_job_id(job)[0][:2])] = {"State": state, "NodeList": nodes}
        return {job: known.get(job, GONE) for job in self._registered - self._finished}


def watch_the_queue() -> None:
    """Have submitit watch Slurm jobs this way in this process. Raises ``FileNotFoundError`` where there is no Slurm."""
    subprocess.run(["squeue", "--version"], check=True, capture_output=True)
    if not isinstance(SlurmJob.watcher, QueueWatcher):
        SlurmJob.watcher = QueueWatcher(delay_s=DELAY_S)
