"""SIGTERM ends a command with an exception, so that temporary files are removed."""

from __future__ import annotations

import signal
from types import FrameType

__all__ = ["Stopped", "check_stopped", "stop"]


class Stopped(BaseException):
    """Raised on SIGTERM. Derived from ``BaseException``, so that no ``except Exception`` block catches it."""


def stop(number: int, _frame: FrameType | None) -> None:
    """Raise ``Stopped``: the handler of SIGTERM while a command runs."""
    # A second SIGTERM must not interrupt the clean-up.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise Stopped(signal.Signals(number).name)


def check_stopped() -> None:
    """Raise ``Stopped`` if ``stop`` was called, but its exception had no effect.

    If the signal arrives during a callback of a weak reference, for example of an import, Python only prints
    the exception.
    """
    if signal.getsignal(signal.SIGTERM) is signal.SIG_IGN:
        raise Stopped(signal.SIGTERM.name)
