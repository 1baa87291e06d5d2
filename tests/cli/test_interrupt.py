"""Ctrl-C waits for the end of a write."""

from __future__ import annotations

import os
import signal

import pytest

from rtparse.cli.interrupt import Interrupt


def test_interrupt_comes_at_once_outside_a_shield() -> None:
    with Interrupt(), pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)


def test_interrupt_waits_inside_a_shield() -> None:
    written = []
    with Interrupt() as interrupt, pytest.raises(KeyboardInterrupt):  # noqa: PT012
        with interrupt.shielded():
            os.kill(os.getpid(), signal.SIGINT)
            written.append("whole")
        written.append("never")
    assert written == ["whole"]


def test_the_handler_before_comes_back() -> None:
    before = signal.getsignal(signal.SIGINT)
    with Interrupt():
        assert signal.getsignal(signal.SIGINT) != before
    assert signal.getsignal(signal.SIGINT) == before
