"""The command line: parse the arguments, call one function of the library, print its result.

The path of ``item2vec recommend --user u42``, in order:

1. ``cli/__init__.py`` `main`: set up logging and signals; an ``Item2VecError`` becomes an exit code.
2. ``cli/app.py`` `app`: find the command and parse its options.
3. ``cli/recommend.py`` `recommend`: open an ``Engine`` on the models folder and the store, and query it.
4. ``engine.py`` `Engine.recommend`: collect what the model needs from the folder and the store:

   a. ``versions/live.py`` `Live.model`: the served model, reloaded if another version is published;
   b. ``catalogue.py`` `Eligible.mask`: a mask of the active items that meet ``where``;
   c. ``store/store.py`` `Store.histories`: the events of the user, from SQL;
   d. ``shaping.py`` `shape_histories`: the history that the model reads, by its adapter settings.

5. ``recommender.py`` `Recommender.recommend_many`: rank the items for the history:

   a. ``taste.py`` `read_tastes`: the taste vector, a weighted mean of the items' vectors;
   b. ``bonuses.py`` `history_bonuses`: additions to the scores of repeated and neighbouring items;
   c. ``index/search.py`` `find_many`: the ``k`` best eligible items that are not excluded.

6. ``cli/output.py`` `described`, then `show_rows`: print the recommendations as a table or as JSON.

This package is the only one that imports typer.
"""

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
    """SIGTERM arrived. Not an ``Exception``, so that only cleanup code runs before the process ends."""


def main(words: Sequence[str] | None = None) -> None:
    """Run a command; by default the one in ``sys.argv``.

    An ``Item2VecError`` is printed on stderr as one line, and sets the exit code. On SIGTERM, the command
    cleans up, and the exit code is 1.
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
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second signal must not interrupt the cleanup
    raise Stopped(signal.Signals(number).name)
