"""The command line: parse, call one function of the library, print. The one door to typer."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from types import FrameType

from item2vec.cli.app import app, environment_names
from item2vec.cli.logs import log_to_stderr
from item2vec.cli.settings import check_environment
from item2vec.errors import Item2VecError

__all__ = ["app", "main"]


class Stopped(BaseException):
    """Somebody wants this process to end; nothing but cleaning up may stand in its way."""


def main(words: Sequence[str] | None = None) -> None:
    """Run the command line; errors of ours are one line on stderr, and the exit code says which kind.

    Told to stop by SIGTERM, a command cleans up after itself, and ends with exit code 1.
    """
    log_to_stderr()
    signal.signal(signal.SIGTERM, _stop)
    try:
        check_environment(environment_names())
        app(words)
    except Item2VecError as error:
        sys.stderr.write(f"item2vec: {error}\n")
        sys.exit(error.exit_code)
    except Stopped as stopped:
        sys.stderr.write(f"item2vec: stopped by {stopped}\n")
        sys.exit(1)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)


def _stop(number: int, _frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough: what follows is the cleaning up
    raise Stopped(signal.Signals(number).name)
