"""What a process that is interrupted ends with."""

import pytest

from paretune.search.interrupts import Terminated, exit_code_of


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
