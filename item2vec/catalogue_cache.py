"""``CatalogueCache``: the catalogue of a store, kept in memory and updated when the store changes."""

from __future__ import annotations

import logging
import math
import time

from item2vec.catalogue import Catalogue
from item2vec.errors import StoreError
from item2vec.store import Store

__all__ = ["CatalogueCache"]

MAX_RETRY_SECONDS = 60.0

logger = logging.getLogger(__name__)


class CatalogueCache:
    """A cache of the catalogue of a store. An access after a change reads only the changed rows.

    A change through the same ``Store`` object is read at the next access. A change by another process is read
    at the first access that is at least ``every`` seconds after the last read. If ``every`` is ``None``, a
    change by another process is read only by ``refresh``, or together with a change through the same
    ``Store`` object.

    If the store becomes unavailable, the last catalogue remains in use. One request at a time tries to read
    the store, after a delay that doubles up to one minute, or at the next access after a change through the
    same ``Store`` object succeeded. If the store is unavailable when the cache is created, ``StoreError`` is
    raised. ``n_reads`` is the number of reads that succeeded.
    """

    def __init__(self, store: Store, *, every: float | None) -> None:
        self._store = store
        self.n_reads = 0
        self._delay = self._every = math.inf if every is None else every
        self._next_check = 0.0
        self._is_failing = False
        self._last_success: object = None  # of the store, before the last failed read
        # A tuple, so that one assignment replaces both values.
        self._cached: tuple[object, Catalogue | None] = (None, None)
        self.refresh()

    @property
    def catalogue(self) -> Catalogue:
        """The current catalogue; if the store is unavailable, the catalogue that was read last."""
        last_change, catalogue = self._cached
        if catalogue is None:
            return self.refresh()
        success = self._store.last_success
        is_changed = last_change is not self._store.last_change and not self._is_failing
        responds = success is not self._last_success and self._is_failing
        if is_changed or responds or time.monotonic() >= self._next_check:
            try:
                return self.refresh()
            except StoreError as error:
                if not self._is_failing:
                    logger.warning("the store cannot be read; still using %r: %s", catalogue, error)
                self._is_failing, self._delay = True, min(2 * self._delay, MAX_RETRY_SECONDS)
                self._next_check = time.monotonic() + self._delay
                self._last_success = success
        return catalogue

    def refresh(self) -> Catalogue:
        """Read the rows that have changed since the last refresh, and return the catalogue.

        If the store cannot be read, ``StoreError`` is raised.
        """
        self._next_check = math.inf  # other requests do not wait for an unreachable server
        last_change = self._store.last_change
        try:
            catalogue = self._store.catalogue(self._cached[1])
        finally:
            self._next_check = time.monotonic() + self._every
        self._is_failing, self._delay = False, self._every
        self._cached = (last_change, catalogue)
        self.n_reads += 1
        return catalogue
