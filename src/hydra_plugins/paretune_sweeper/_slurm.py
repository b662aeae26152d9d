"""Jobs of a Slurm cluster, watched by ``squeue``."""

import subprocess
from collections.abc import Iterator
from subprocess import CalledProcessError
from threading import Lock

from submitit.slurm.slurm import SlurmInfoWatcher, SlurmJob, read_job_id

from paretune.errors import ConfigError

DELAY_S = 15
QUEUE = ("squeue", "--me", "--states=all", "--noheader", "--array", "--format=%i|%T|%N")
CANCEL = ("scancel", "--quiet", "--state=PENDING")

JobInfo = dict[str, str]  # by submitit's names
GONE_JOB: JobInfo = {"State": "GONE", "NodeList": ""}


class QueueWatcher(SlurmInfoWatcher):
    """Asks ``squeue``, which every cluster has, instead of ``sacct``, which needs an
    accounting database, every few seconds.

    submitit asks ``sacct`` every ten minutes: so long would a killed worker go
    unnoticed. A job that the queue has no more is done, whatever became of it; its
    result file says whether it went well.
    """

    def __init__(self, delay_s: int) -> None:
        super().__init__(delay_s)
        self._asked: set[str] = set()
        self._lock = Lock()

    def update(self) -> None:
        """Ask; one thread at a time, as each waits for a job of its own."""
        with self._lock:
            super().update()

    def _make_command(self) -> list[str] | None:
        # one that is submitted while the queue is asked is not in the answer
        self._asked = self._registered - self._finished
        return list(QUEUE) if self._asked else None

    def read_info(self, string: bytes | str) -> dict[str, JobInfo]:
        """State and nodes of every job that was asked for, by its id."""
        text = string.decode() if isinstance(string, bytes) else string
        queued = dict(_read_queue(text))
        return {job: queued.get(job, GONE_JOB) for job in self._asked}

    def cancel_waiting(self) -> None:
        """Take the jobs that have not begun out of the queue; those that were seen to
        run are not asked about again.
        """
        waiting = self._registered - self._finished
        for job, info in self._info_dict.items():
            if info["State"] == "RUNNING":
                waiting.discard(job)
        if waiting:
            subprocess.run(
                [*CANCEL, *sorted(waiting)], check=False, capture_output=True
            )


def _read_queue(text: str) -> Iterator[tuple[str, JobInfo]]:
    """The jobs of the queue by their ids, as submitit has them: ``42_1``."""
    for line in text.splitlines():
        job, state, nodes = line.strip().split("|")
        job_id = "_".join(read_job_id(job)[0][:2])
        yield job_id, {"State": state, "NodeList": nodes}


def watch_queue() -> None:
    """Have submitit watch Slurm jobs this way in this process.

    Raises :class:`~paretune.errors.ConfigError` where there is no Slurm.
    """
    try:
        subprocess.run(["squeue", "--version"], check=True, capture_output=True)
    except (OSError, CalledProcessError) as error:
        raise ConfigError(
            f"launcher `submitit_slurm` finds no Slurm here ({error}); run this on a "
            "login node, where squeue and sbatch are on the PATH, or use "
            "hydra/launcher=submitit_local"
        ) from error
    if not isinstance(SlurmJob.watcher, QueueWatcher):
        SlurmJob.watcher = QueueWatcher(delay_s=DELAY_S)


def cancel_waiting_jobs() -> None:
    """Take the Slurm jobs of this process that have not begun out of the queue, if it
    has any.
    """
    if isinstance(SlurmJob.watcher, QueueWatcher):
        SlurmJob.watcher.cancel_waiting()
