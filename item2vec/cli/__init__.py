"""The command line: parse the arguments, call the library, and print the result.

The path of ``item2vec recommend --user u42``:

1. ``cli/__init__.py`` `main` sets up logging and signal handling, and turns an ``Item2VecError`` into an exit
   code.
2. ``cli/app.py`` `root` returns the command tree, which selects the command and parses its options.
3. ``cli/recommend.py`` `recommend` carries out the remaining steps.
4. ``engine.py`` `Engine.__init__` loads the model and opens the store. Most errors are raised here:

   a. ``versions/live.py`` `Live.__init__` loads the served version: ``versions/loading.py`` `load_served`
      leases it. ``bundle/__init__.py`` `read` verifies all checksums, then reads vectors, items, index,
      settings of adapter and taste, and, if the model has them, table of neighbours, prior and layout.
      ``versions/checking.py`` `check_rankings` checks a few queries.
   b. ``store/store.py`` `Store.check_schema` compares the schema of the store with the required one.
   c. ``catalogue_cache.py`` `CatalogueCache.__init__` reads the items of the store, their attributes and
      their active flags (``store/store.py`` `Store.catalogue`).

5. ``engine.py`` `Engine.view` returns a ``View`` of one version and one catalogue:

   a. ``catalogue_cache.py`` `CatalogueCache.catalogue` returns the catalogue; a long-lived engine reads its
      changes here.
   b. ``preparation.py`` `Preparation.of` adds rows for the items that the model does not know
      (``recommender.py`` `Recommender.with_items`) and the mask of the active items (``recommender.py``
      `Recommender.with_catalogue`). The result is kept for later requests.

6. ``view.py`` `View.recommend` calls ``view.py`` `View.recommend_many` with one user:

   a. ``store/store.py`` `Store.histories` reads the user's events from SQL.
   b. ``view.py`` `View._plausible` drops events dated a day or more in the future from the history.
   c. ``shaping.py`` `shape_histories` is called twice: the first call returns the history that the model
      reads, the second the items that count as seen. `View` adds the seen items to ``exclude``.

7. ``recommender.py`` `Recommender.recommend_many` ranks the items for the history:

   a. ``histories.py`` `encode_histories` converts item ids to codes.
   b. ``rules.py`` `Rules.of` validates the rules, and ``row_rules.py`` `RowRules.of` converts them to arrays:
      ``catalogue.py`` `Eligible.mask` returns a mask of the active items that meet ``where``.
   c. ``ranker.py`` `Ranker.rank` carries out steps d to g: ``dislikes.py`` `split_dislikes` separates the
      disliked items of the history, which are excluded.
   d. ``user_vectors.py`` `read_user_vectors` computes the user vector: with ``interests``, ``interests.py``
      `divide` splits the history; ``taste.py`` `TasteReader.read` computes the taste vector, a weighted mean
      of item vectors; ``dislikes.py`` `move_away` moves this vector away from disliked items. The rule
      ``direction``, which the command line does not have, moves it further.
   e. ``bonuses.py`` `history_bonuses` computes the bonuses of neighbours and, if seen items may be
      recommended, of repeats. With the default settings, there are no bonuses.
   f. ``ranker.py`` `Ranker._queries` appends the weight of the popularity prior, if it is above 0,
      and chooses the index.
   g. ``selection.py`` `select` applies ``at_most`` and ``diversity`` to rows in order of score, in which
      ``sources.py`` `Demoting.best` puts rows near disliked items last, and ``sources.py`` `Boosted.best`
      applies ``boost``. ``sources.py`` `Searched.best` calls ``index/search.py`` `search`, which returns the
      ``k`` eligible items with the highest scores.

8. ``cli/output.py`` `as_rows` adds titles, and ``cli/output.py`` `show_rows` prints a table or JSON.

If there is no user vector, for example because the user has no events, ``sources.py`` `Ordered.best` replaces
the search in step 7 g, and returns the most popular items.

``index/search.py`` contains a diagram of the search. The path of ``item2vec retrain`` is in
``retraining/run.py``. A test checks that both paths name functions that are called in this order.

Only this package imports typer.
"""

from __future__ import annotations

import io
import signal
import sys
import traceback
from collections.abc import Sequence

from item2vec.cli.app import app, environment_names, root
from item2vec.cli.logs import log_to_stderr
from item2vec.cli.output import discard
from item2vec.cli.remedies import message_of
from item2vec.cli.settings import check_environment
from item2vec.cli.stopping import Stopped, stop
from item2vec.errors import Item2VecError, masked, reason_of

__all__ = ["app", "main"]


def main(words: Sequence[str] | None = None) -> None:
    """Run the command given by ``words``, by default ``sys.argv[1:]``.

    An ``Item2VecError`` is printed on stderr as one line and determines the exit code. For any other
    ``OSError``, one line states that the file or stdout could not be written, for example because the disk is
    full; the exit code is 1, as for a closed pipe (handled by typer). All other exceptions are printed as a
    traceback, with secrets masked; the exit code is 1. On SIGTERM and Ctrl-C, the command removes its
    temporary files; the exit code is 1 on SIGTERM, and 130 on Ctrl-C (set by typer). After an invalid command
    line, typer exits with code 2.

    ``retrain`` differs. After ``CURRENT`` is replaced, SIGTERM and Ctrl-C lead to exit code 6 if the
    publication was not finished, otherwise to 0. While the outcome of a refused or failed run is recorded,
    these signals do not change the exit code. After a promotion or a refusal, errors of stdout do not change
    the exit code either.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # titles may have characters that the encoding lacks
            stream.reconfigure(errors="backslashreplace")
    log_to_stderr()
    signal.signal(signal.SIGTERM, stop)
    try:
        check_environment(environment_names())
        root()(words)
    except Item2VecError as error:
        _end(message_of(error), error.exit_code)
    except OSError as error:
        # Functions that open files raise an Item2VecError. Any other OSError is an error of stdout.
        discard(sys.stdout)
        path = error.filename or "stdout"
        _end(f"{path} could not be written: {reason_of(error)}; check the disk, or redirect the output", 1)
    except Exception:  # noqa: BLE001 - printed as Python would, except for secrets
        _write_to_stderr(traceback.format_exc())
        sys.exit(1)
    except Stopped as stopped:
        _end(f"stopped by {stopped}", 1)


def _end(message: str, code: int) -> None:
    _write_to_stderr(f"item2vec: {message}\n")
    sys.exit(code)


def _write_to_stderr(text: str) -> None:
    """Write text to stderr, with secrets masked. An error of stderr does not change the exit code."""
    try:
        sys.stderr.write(masked(text))
    except OSError:
        discard(sys.stderr)
