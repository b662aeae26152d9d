"""An app whose trials go wrong in every way that real ones do."""

import ctypes
import os
import signal
import time

import hydra
import psutil
from omegaconf import DictConfig

from paretune.search import current_trial


def out_of_memory() -> None:
    """The kernel's out-of-memory killer sends SIGKILL."""
    os.kill(os.getpid(), signal.SIGKILL)


def hang_deaf() -> None:
    """Blocked, and deaf to the interrupt."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    time.sleep(1000)


def hang_with_the_lock() -> None:
    """In native code that holds Python's lock, so that no thread of the process can do
    anything.
    """
    deadline = time.monotonic() + 1000
    while time.monotonic() < deadline:
        ctypes.PyDLL(None).usleep(900_000_000)


def tell_command() -> None:
    """Fail with the command line of this process."""
    raise RuntimeError(" ".join(psutil.Process().cmdline()))


WAYS = {
    "raise": lambda: 1 / 0,
    "no_number": lambda: None,
    "killed": out_of_memory,
    "sleep": lambda: time.sleep(1000),
    "deaf": hang_deaf,
    "lock": hang_with_the_lock,
    "command": tell_command,
    "fine": lambda: None,
}


@hydra.main(version_base=None, config_path=".", config_name="config")
def main(cfg: DictConfig) -> float:
    """A number, unless ``kind`` goes wrong; reports ``epochs`` values on the way, the
    worse the higher its number.
    """
    trial = current_trial()
    for epoch in range(1, cfg.epochs + 1):
        trial.report(epoch, float(trial.number))
        time.sleep(0.05)
    WAYS[cfg.kind]()
    return float("nan") if cfg.kind == "no_number" else float(os.getpid())


if __name__ == "__main__":
    main()
