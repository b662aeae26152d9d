"""A process that has imported what its children need, and forks them when it is told to:
``python -m paretune.fork_server SOCKET MODULE...``.

Imports of torch, Lightning and MLflow take seconds. Here they are made once, while the
command that needs workers does something else, and every worker shares their memory.

A fork copies one thread. So nothing is forked once a module has started threads that do
not stand it; those that :func:`_count_known_threads` counts do.
"""

import json
import os
import select
import signal
import socket
import sys
import threading
import warnings
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from paretune.importing import many_imports

REFUSED = "refused"
LONGEST_ORDER_BYTES = 65536
HEEDED_SIGNALS = (signal.SIGINT, signal.SIGTERM)  # by children
ACCELERATORS = ("/dev/nvidia", "/dev/kfd", "/dev/dri")
TASKS = Path("/proc/self/task")
OPEN_FILES = Path("/proc/self/fd")


@dataclass(frozen=True)
class Order:
    """What a child is to do: ``call`` the function at a dotted path with texts.

    What it prints is added to the files ``log`` and ``error_log``.
    """

    call: str
    arguments: Sequence[str]
    log: str
    error_log: str


def main(arguments: Sequence[str]) -> None:
    """Import the modules, then fork a child for every order until the socket's other
    end is closed.
    """
    # Those who give the orders end the children, too.
    for number in HEEDED_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    control, *modules = arguments
    import_modules(modules)
    server = _Server(socket.socket(fileno=int(control)))
    order = server.serve()
    if order:
        _obey(order)
    else:
        os._exit(0)


def import_modules(names: Sequence[str]) -> None:
    """Import the modules that can be imported; whoever needs one that cannot be will
    say so.
    """
    with many_imports():
        for name in names:
            with suppress(Exception):
                import_module(name)


class _Server:
    """Forks children, and tells those who ordered them their numbers and exit codes.

    Each order comes with a pipe for the answers: a line with the child's number, and at
    its end a line with its exit code (negative: the signal that killed it).
    """

    def __init__(self, control: socket.socket) -> None:
        self.control = control
        self.answers: dict[int, int] = {}
        self.ended, self._child_has_ended = os.pipe()
        os.set_blocking(self.ended, False)
        os.set_blocking(self._child_has_ended, False)
        # Written to by C as soon as a child ends.
        signal.set_wakeup_fd(self._child_has_ended, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def serve(self) -> Order | None:
        """The order of a child, in the child; ``None`` in the server, once the socket's
        other end is closed.
        """
        while True:
            control = self.control.fileno()
            ready, _, _ = select.select([control, self.ended], [], [])
            if self.ended in ready:
                self._tell_ended()
            if control not in ready:
                continue
            text, pipes, _, _ = socket.recv_fds(self.control, LONGEST_ORDER_BYTES, 1)
            if not text:
                return None
            if self._fork(pipes[0]):
                return Order(**json.loads(text))

    def _tell_ended(self) -> None:
        with suppress(BlockingIOError):
            os.read(self.ended, 512)
        with suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                child, status = ended
                answer = self.answers.pop(child)
                _write(answer, os.waitstatus_to_exitcode(status))
                os.close(answer)

    def _fork(self, answer: int) -> bool:
        """Fork a child whose number goes to the pipe ``answer``; returns whether this
        is the child.
        """
        if not is_safe_to_fork():
            _write(answer, REFUSED)
            os.close(answer)
            return False
        # A child hears what comes before it heeds signals.
        signal.pthread_sigmask(signal.SIG_BLOCK, HEEDED_SIGNALS)
        with warnings.catch_warnings():
            # Python's, of any threads: those that are left stand it.
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if not child:
            self._forget(answer)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HEEDED_SIGNALS)
        if child:
            self.answers[child] = answer
            _write(answer, child)
        return not child

    def _forget(self, answer: int) -> None:
        """In a child: close what is the server's, and heed signals again."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        self.control.close()
        for pipe in (self.ended, self._child_has_ended, answer, *self.answers.values()):
            os.close(pipe)


def _write(pipe: int, answer: object) -> None:
    with suppress(BrokenPipeError):  # who gave the order has gone
        os.write(pipe, f"{answer}\n".encode())


def is_safe_to_fork() -> bool:
    """Whether this process has no threads but those that stand a fork, and no
    accelerator open, whose driver does not.
    """
    if threading.active_count() > 1:
        return False
    if _count_threads() > 1 + _count_known_threads():
        return False
    return not any(map(_is_accelerator, OPEN_FILES.iterdir()))


def _count_threads() -> int:
    """Threads of this process, those of libraries included."""
    return len(list(TASKS.iterdir()))


def _count_known_threads() -> int:
    """Threads of libraries that stop them before a fork, and start them anew after it:
    OpenBLAS and jemalloc.
    """
    from threadpoolctl import threadpool_info

    known = 0
    for library in threadpool_info():
        if library["internal_api"] == "openblas":
            known += library["num_threads"] - 1
    for task in TASKS.iterdir():
        known += (task / "comm").read_text().startswith("jemalloc")
    return known


def _is_accelerator(file: Path) -> bool:
    with suppress(OSError):
        return os.readlink(file).startswith(ACCELERATORS)
    return False


def _obey(order: Order) -> None:
    """Do what a child is to do; it ends as any other Python does."""
    for stream, path in ((sys.stdout, order.log), (sys.stderr, order.error_log)):
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        os.dup2(file, stream.fileno())
        os.close(file)
    # Every child would draw the same. Where it is imported later, no two do.
    if random := sys.modules.get("numpy.random"):
        random.seed()
    module, _, function = order.call.rpartition(".")
    getattr(import_module(module), function)(*order.arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
