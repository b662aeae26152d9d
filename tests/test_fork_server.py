"""The process that forks workers: children, their ends, and when none is forked."""

import os
import signal
import sys
from pathlib import Path

import pytest

from hydra_plugins.paretune_sweeper._forking import ForkServer
from paretune.fork_server import Order

CHILDREN = """
import os, signal, sys, time

def say(text):
    print(text, os.getpid())

def fail():
    sys.exit(3)

def sleep():
    time.sleep(1000)

def draw():
    import numpy
    print(numpy.random.random())
"""
THREADS = "import threading, time; threading.Thread(target=time.sleep, args=[9], daemon=True).start()"


@pytest.fixture
def serve(tmp_path, monkeypatch):
    """A function that starts a server which imports a module of this text."""
    monkeypatch.chdir(tmp_path)
    servers: list[ForkServer] = []

    def start(text: str = CHILDREN) -> ForkServer:
        (tmp_path / "children.py").write_text(text)
        servers.append(ForkServer(["numpy", "children"], threads=1))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def order(function: str, *arguments: str) -> Order:
    return Order(f"children.{function}", arguments, "log", "errors")


def test_children_say_their_numbers_and_their_exit_codes(serve):
    server = serve()
    first = server.fork(order("say", "hello"))
    second = server.fork(order("fail"))

    assert first.wait() == 0
    assert second.wait() == 3
    assert Path("log").read_text() == f"hello {first.pid}\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT])
def test_a_child_hears_signals_that_its_server_ignores(serve, number):
    server = serve()
    child = server.fork(order("sleep"))
    os.kill(server._process.pid, signal.SIGTERM)
    os.kill(child.pid, number)

    assert child.wait() == -number, Path("errors").read_text()
    assert server.fork(order("say", "still here")).wait() == 0


@pytest.mark.parametrize("first", ["", "import numpy.random\n"])
def test_children_do_not_draw_the_same_random_numbers(serve, first):
    server = serve(first + CHILDREN)
    for child in [server.fork(order("draw")) for _ in range(3)]:
        assert child.wait() == 0

    assert len(set(Path("log").read_text().split())) == 3


def test_a_module_that_starts_a_thread_has_nothing_forked(serve):
    assert serve(THREADS).fork(order("say", "hello")) is None


def test_a_server_that_is_gone_forks_nothing(serve):
    server = serve()
    server.fork(order("say", "hello")).wait()
    os.kill(server._process.pid, signal.SIGKILL)
    server._process.wait()

    assert server.fork(order("say", "hello")) is None


def test_a_module_that_cannot_be_imported_is_left_to_whoever_needs_it(serve):
    child = serve("raise ImportError").fork(order("say", "hello"))

    assert child.wait() == 1
    assert "ImportError" in Path("errors").read_text()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_child_whose_server_was_killed_is_waited_for(serve):
    server = serve()
    child = server.fork(order("sleep"))
    os.kill(server._process.pid, signal.SIGKILL)
    os.kill(child.pid, signal.SIGKILL)

    assert child.wait() == -signal.SIGKILL
