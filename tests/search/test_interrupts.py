"""What a process that is interrupted ends with."""

import signal
import subprocess
import sys

import pytest

from paretune.search import interrupts
from paretune.search.interrupts import Terminated, exit_code_of, is_interrupt


def wrap(error: BaseException) -> BaseException:
    """An error of a library's own, raised while another one is handled."""
    try:
        try:
            raise error
        except BaseException:
            raise RuntimeError("stopped") from None
    except RuntimeError as wrapped:
        return wrapped


@pytest.mark.parametrize(
    ("error", "code"), [(KeyboardInterrupt(), 130), (Terminated(), 143)]
)
def test_the_exit_code_tells_ctrl_c_from_sigterm(error, code):
    assert exit_code_of(error) == code
    assert exit_code_of(wrap(error)) == code


def test_a_library_that_leaves_after_sigterm_was_interrupted(monkeypatch):
    """Lightning raises a SystemExit of its own once it has heard SIGTERM."""
    assert not is_interrupt(SystemExit())
    monkeypatch.setattr(interrupts._backstop, "was_terminated", True)

    assert is_interrupt(SystemExit())
    assert not is_interrupt(ValueError())
    assert exit_code_of(SystemExit()) == 143


HEARS_SIGTERM_AND_GOES_ON = """
import os, signal, time
from paretune.search.interrupts import Terminated, begin_anew, listen

listen(end_within_s=0.2)
for _ in range({signals}):
    try:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep({pause_s})
    except Terminated:
        pass
    begin_anew()
time.sleep(1.5)
print("goes on")
"""


def run(code: str) -> tuple[int, str]:
    """The exit code and the output of a Python process."""
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize("signals", [1, 2, 5])
@pytest.mark.parametrize("pause_s", [0.0, 0.1])
def test_a_process_that_began_anew_is_not_ended_for_what_it_heard_before(
    signals, pause_s
):
    code = HEARS_SIGTERM_AND_GOES_ON.format(signals=signals, pause_s=pause_s)

    assert run(code) == (0, "goes on\n")


def test_a_process_that_does_not_end_after_sigterm_is_killed():
    code = HEARS_SIGTERM_AND_GOES_ON.format(signals=1, pause_s=0)

    assert run(code.replace("    begin_anew()\n", "")) == (-signal.SIGKILL, "")
