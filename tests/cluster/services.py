"""A one-node Slurm cluster and a PostgreSQL, started in a folder of the test and
stopped with it. Both need Debian's packages and root.
"""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import psutil

from server import free_port

__all__ = ["Postgres", "Slurm", "missing", "pids_of_workers"]

POSTGRES_BIN = max(Path("/usr/lib/postgresql").glob("*/bin"), default=Path("/nowhere"))
PASSWORD = "tell-nobody-7731"
CONF = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ctld_port}
SlurmdPort={slurmd_port}
AuthType=auth/munge
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
ReturnToService=2
SlurmdParameters=config_overrides
KillWait=5
MessageTimeout=30
SlurmdTimeout=60
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
NodeName={host} NodeAddr=127.0.0.1 CPUs=4 RealMemory=4000 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> str:
    """What this machine lacks for a cluster; empty if nothing."""
    programs = [
        name
        for name in ("slurmctld", "slurmd", "sbatch", "squeue", "munged")
        if not shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin")
    ]
    lacks = [
        *programs,
        *([] if (POSTGRES_BIN / "initdb").is_file() else ["postgresql"]),
    ]
    if lacks:
        return f"lacks {', '.join(lacks)} (make cluster-deps installs them on Debian)"
    return "" if os.geteuid() == 0 else "needs root to start Slurm"


def pids_of_workers(folder: Path) -> list[int]:
    """The processes of submitit's workers whose files are below this test's ``folder``;
    no others of the machine.
    """
    pids = []
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if "submitit.core._submit" in words and any(
            folder in Path(word).parents for word in words
        ):
            pids.append(process.pid)
    return sorted(pids)


class Slurm:
    """``slurmctld`` and ``slurmd`` on loopback."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("state", "spool"):
            (folder / name).mkdir(parents=True)
        conf = folder / "slurm.conf"
        host = socket.gethostname().split(".")[0]
        conf.write_text(
            CONF.format(
                folder=folder, host=host, ctld_port=free_port(), slurmd_port=free_port()
            )
        )
        os.environ["SLURM_CONF"] = str(conf)

    def start(self) -> None:
        """Start munge, the controller and the node, and wait until the node is idle."""
        Path("/run/munge").mkdir(exist_ok=True)
        munge = pwd.getpwnam("munge")
        os.chown("/run/munge", munge.pw_uid, munge.pw_gid)
        if subprocess.run(["munge", "-n"], capture_output=True, check=False).returncode:
            subprocess.run(
                [
                    "setpriv",
                    "--reuid=munge",
                    "--regid=munge",
                    "--clear-groups",
                    "/usr/sbin/munged",
                ],
                check=True,
            )
        subprocess.run(["/usr/sbin/slurmctld"], check=True)
        time.sleep(2)
        self.start_node()
        self.wait_idle()

    def start_node(self) -> None:
        """Start ``slurmd``."""
        subprocess.run(["/usr/sbin/slurmd"], check=True)

    def stop_node(self) -> None:
        """Stop ``slurmd``; its jobs' processes go on."""
        self._stop("slurmd")

    def wait_idle(self, at_most_s: float = 60) -> None:
        """Wait until the node takes jobs."""
        deadline_s = time.monotonic() + at_most_s
        while not any(
            state in self._said("sinfo", "-h", "-o", "%T")
            for state in ("idle", "mixed", "allocated")
        ):
            assert time.monotonic() < deadline_s, (
                self.folder / "slurmctld.log"
            ).read_text()[-3000:]
            time.sleep(0.5)

    def jobs(self, state: str = "R") -> list[str]:
        """Ids of the jobs that run, or are in another of Slurm's states (``PD``:
        waiting).
        """
        return self._said("squeue", "-h", "-t", state, "-o", "%i").split()

    def stop(self) -> None:
        """Cancel all jobs and stop both."""
        subprocess.run(["scancel", "--me", "--signal=KILL", "--full"], check=False)
        subprocess.run(["scancel", "--me"], check=False)
        for name in ("slurmd", "slurmctld"):
            self._stop(name)

    def _said(self, *command: str) -> str:
        return subprocess.run(
            command, capture_output=True, text=True, check=False
        ).stdout

    def _stop(self, name: str) -> None:
        path = self.folder / f"{name}.pid"
        if path.is_file():
            os.kill(int(path.read_text()), signal.SIGTERM)
            deadline_s = time.monotonic() + 20
            while path.is_file() and time.monotonic() < deadline_s:
                time.sleep(0.2)


class Postgres:
    """PostgreSQL on a loopback port that asks for a password; ``passfile`` holds it,
    ``url`` does not.
    """

    def __init__(self, folder: Path) -> None:
        self.data, self.port = folder / "data", free_port()
        folder.mkdir(parents=True)
        shutil.chown(folder, "postgres")
        secret = folder / "secret"
        secret.write_text(PASSWORD)
        shutil.chown(secret, "postgres")
        self._as_postgres(
            "initdb",
            "-D",
            str(self.data),
            "-U",
            "ann",
            "--auth=scram-sha-256",
            f"--pwfile={secret}",
        )
        secret.unlink()
        self.log = folder / "log"
        self.url = f"postgresql+psycopg://ann@127.0.0.1:{self.port}/postgres"
        self.passfile = folder / "pgpass"
        self.passfile.write_text(f"127.0.0.1:{self.port}:*:ann:{PASSWORD}\n")
        self.passfile.chmod(0o600)

    def start(self) -> None:
        """Start it and wait until it answers."""
        options = (
            f"-h 127.0.0.1 -p {self.port} -k '' -c max_connections=300 -c fsync=off"
        )
        self._as_postgres(
            "pg_ctl",
            "-D",
            str(self.data),
            "-l",
            str(self.log),
            "-w",
            "-o",
            options,
            "start",
        )

    def stop(self) -> None:
        """Stop it, open connections or not."""
        self._as_postgres(
            "pg_ctl", "-D", str(self.data), "-m", "immediate", "-w", "stop"
        )

    def _as_postgres(self, program: str, *arguments: str) -> None:
        command = [
            "setpriv",
            "--reuid=postgres",
            "--regid=postgres",
            "--clear-groups",
            str(POSTGRES_BIN / program),
            *arguments,
        ]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd="/")
