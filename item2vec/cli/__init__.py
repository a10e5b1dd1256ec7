"""The command line: parse, call one function of the library, print. The one door to typer."""

from __future__ import annotations

import logging
import sys

from item2vec.cli.app import app, environment_names
from item2vec.cli.settings import check_environment
from item2vec.errors import Item2VecError

__all__ = ["app", "main"]


def main() -> None:
    """Run the command line; errors of ours are one line on stderr, and the exit code says which kind."""
    logging.basicConfig(level=logging.WARNING, format="%(name)s: %(message)s", stream=sys.stderr)
    try:
        check_environment(environment_names())
        app()
    except Item2VecError as error:
        sys.stderr.write(f"item2vec: {error}\n")
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
