"""Ctrl-C at a moment when Python cannot raise."""

from __future__ import annotations

import signal

import pytest

from penstock.cli.interrupt import Interrupt


class Finalized:
    """Its end is interrupted."""

    def __del__(self) -> None:
        signal.raise_signal(signal.SIGINT)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interrupt_that_python_dropped_is_found_by_the_next_look() -> None:
    with Interrupt() as interrupt:
        interrupt.check()
        Finalized()
        with pytest.raises(KeyboardInterrupt):
            interrupt.check()


def test_an_interrupt_raises_at_once_and_the_old_handler_comes_back() -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), Interrupt():
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before
