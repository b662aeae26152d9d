"""Workers forked from a process that has imported what they need, while the command
composes, opens its stores and counts what fits.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil
from hydra.core.singleton import Singleton
from omegaconf import DictConfig

from hydra_plugins.paretune_sweeper import SweepOptions
from hydra_plugins.paretune_sweeper._deaths import describe_raised
from hydra_plugins.paretune_sweeper._isolation import is_isolated, uses_hydras_launcher
from paretune.cores import count_threads
from paretune.fork_server import Order

SERVER_MODULE = "paretune.fork_server"
# What every worker imports, whatever its app.
WORKER_MODULES = (
    "hydra_plugins.paretune_sweeper._session",
    "hydra_plugins.hydra_submitit_launcher.submitit_launcher",
    "submitit",
)
LOOK_EVERY_S = 1.0


class WorkerDiedError(Exception):
    """A worker ended without a result."""


@contextmanager
def forking(options: SweepOptions, config: DictConfig) -> Iterator["ForkServer | None"]:
    """The server that forks the sweep's workers, which begins to import inside the
    block; ``None`` if something else starts them, or there are none.

    Other systems than Linux do not tell whether a fork is safe.
    """
    if (
        sys.platform != "linux"
        or options.join
        or not is_isolated(options, config)
        or not uses_hydras_launcher(config)
    ):
        yield None
        return
    server = ForkServer(
        [*WORKER_MODULES, *(options.preload or [])],
        count_threads(options.n_jobs),
    )
    try:
        yield server
    finally:
        server.close()


class ForkServer:
    """A process that imports ``modules`` and forks children (:mod:`paretune.fork_server`),
    as this process sees it. It ends with this process.
    """

    def __init__(self, modules: Sequence[str], threads: int) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            number = theirs.fileno()
            self._process = subprocess.Popen(
                [sys.executable, "-m", SERVER_MODULE, str(number), *modules],
                pass_fds=[number],
                # Read by OpenMP when torch is imported.
                env=os.environ | {"OMP_NUM_THREADS": str(threads)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )

    def fork(self, order: Order) -> "ForkedProcess | None":
        """A child that carries out the order, as soon as all is imported; ``None`` if
        the server cannot fork.
        """
        reading, writing = os.pipe()
        try:
            text = json.dumps(asdict(order)).encode()
            socket.send_fds(self._control, [text], [writing])
        except OSError:
            os.close(reading)
            return None
        finally:
            os.close(writing)
        child = ForkedProcess(reading)
        return child if child.pid else None

    def close(self) -> None:
        """End the server. Children that still run end with this process."""
        self._control.close()
        self._process.kill()
        self._process.wait()


class ForkedProcess:
    """A child of the fork server; ``pid`` is 0 if it forked none."""

    def __init__(self, answers: int) -> None:
        self._answers = os.fdopen(answers)
        first = self._answers.readline().strip()
        self.pid = int(first) if first.isdecimal() else 0
        if not self.pid:
            self._answers.close()

    def wait(self) -> int:
        """The exit code, once it has ended. Negative: the signal that killed it."""
        with self._answers:
            answer = self._answers.readline().strip()
        if answer:
            return int(answer)
        # The server was killed, and nobody else can tell.
        while _runs(self.pid):
            time.sleep(LOOK_EVERY_S)
        return -signal.SIGKILL


def _runs(pid: int) -> bool:
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


def run_forked(
    server: ForkServer, launcher: Any, overrides: Sequence[str], slot: int
) -> Any:
    """Run the job of submitit's local ``launcher`` in a forked process, and return its
    result; ``None`` if the server cannot fork.

    The job, its result and its logs are submitit's own files, in the same places.
    Raises :class:`WorkerDiedError` if there is no result.
    """
    from submitit.core.utils import DelayedSubmission, JobPaths

    folder = launcher.params["submitit_folder"]
    job = f"{time.time_ns()}-{slot}"
    paths = JobPaths(folder, job)
    paths.folder.mkdir(parents=True)
    DelayedSubmission(
        launcher,
        list(overrides),
        "hydra.sweep.dir",
        slot,
        f"job_id_for_{slot}",
        Singleton.get_state(),
    ).dump(paths.submitted_pickle)
    order = Order(
        call=f"{__name__}.{obey.__name__}",
        arguments=[folder, job],
        log=str(paths.stdout),
        error_log=str(paths.stderr),
    )
    child = server.fork(order)
    if child is None:
        return None
    exit_code = child.wait()
    return _read_result(paths.result_pickle, exit_code)


def _read_result(file: Path, exit_code: int) -> Any:
    from submitit.core.utils import pickle_load

    if not file.exists():
        raise WorkerDiedError(_describe_end(exit_code))
    outcome, result = pickle_load(file)
    if outcome == "error":  # then it is a traceback
        raise WorkerDiedError(describe_raised(result))
    return result


def _describe_end(exit_code: int) -> str:
    if exit_code < 0:
        return f"killed by {signal.Signals(-exit_code).name}"
    return f"exit code {exit_code}"


def obey(folder: str, job: str) -> None:
    """Run a job of submitit's, whose files are in the ``folder``, in this process."""
    from submitit.core.submission import process_job

    os.environ.update(
        SUBMITIT_EXECUTOR="local",
        SUBMITIT_LOCAL_JOB_ID=job,
        SUBMITIT_LOCAL_NTASKS="1",
        SUBMITIT_LOCAL_JOB_NUM_NODES="1",
        SUBMITIT_LOCAL_NODEID="0",
        SUBMITIT_LOCAL_LOCALID="0",
        SUBMITIT_LOCAL_GLOBALID="0",
    )
    process_job(folder)
