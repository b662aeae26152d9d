"""What the console shows, and how commands end when nobody reads their output."""

import io
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import TextIO

import matplotlib.font_manager
import pytest
import torch

from paretune import console
from paretune.commands.entry_point import main
from paretune.commands.table import COMMANDS


@pytest.fixture
def unread() -> Iterator[TextIO]:
    """A pipe whose reader is gone."""
    reader, writer = os.pipe()
    os.close(reader)
    stream = os.fdopen(writer, "w")
    yield stream
    with suppress(BrokenPipeError):
        stream.close()


@pytest.mark.parametrize(
    "arguments",
    [[], ["--version"], *([name, "--help"] for name in COMMANDS)],
    ids=" ".join,
)
def test_a_command_ends_silently_when_nobody_reads(unread, monkeypatch, arguments):
    monkeypatch.setattr(sys, "stdout", unread)
    monkeypatch.setattr(sys, "argv", ["paretune", *arguments])
    with pytest.raises(SystemExit) as left:
        main()

    assert left.value.code == 141


def test_nothing_is_said_when_the_interpreter_ends():
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "paretune", "--version"]
    done = subprocess.run(
        command, stdout=writer, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writer)

    assert (done.returncode, done.stderr) == (141, "")


def test_a_broken_connection_is_no_reader_that_has_gone():
    with pytest.raises(BrokenPipeError), console.end_with_the_reader():
        raise BrokenPipeError("the server went away")


def test_log_lines_that_nobody_reads_are_dropped_without_a_traceback(unread, capsys):
    handler = console.Console(unread)
    handler.handle(
        logging.LogRecord(
            "paretune.train", logging.INFO, __file__, 0, "x" * 100_000, None, None
        )
    )

    assert capsys.readouterr().err == ""


LIBRARY = matplotlib.font_manager.__file__


@pytest.mark.parametrize(
    ("name", "path", "level", "root_level", "is_shown"),
    [
        ("matplotlib.font_manager", LIBRARY, logging.INFO, logging.INFO, False),
        ("torch", torch.__file__, logging.INFO, logging.INFO, False),
        ("matplotlib.font_manager", LIBRARY, logging.WARNING, logging.INFO, True),
        ("matplotlib.font_manager", LIBRARY, logging.INFO, logging.DEBUG, True),
        ("paretune.training.fit", LIBRARY, logging.INFO, logging.INFO, True),
        (
            "hydra_plugins.paretune_sweeper._session",
            LIBRARY,
            logging.INFO,
            logging.INFO,
            True,
        ),
        ("my_models", "/home/me/my_models.py", logging.INFO, logging.INFO, True),
    ],
)
def test_the_console_is_for_ours_and_for_warnings(
    monkeypatch, name, path, level, root_level, is_shown
):
    monkeypatch.setattr(logging.getLogger(), "level", root_level)
    stream = io.StringIO()
    console.Console(stream).handle(
        logging.LogRecord(name, level, path, 0, "said", None, None)
    )

    assert (stream.getvalue() == "said\n") == is_shown
