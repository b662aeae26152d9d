"""What a process that is interrupted ends with."""

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
