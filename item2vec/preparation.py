"""``Preparation``: a cache of models with rows for the new items of a catalogue, and with active flags."""

from __future__ import annotations

import logging
import os
import threading
from dataclasses import dataclass, replace
from weakref import WeakKeyDictionary

import numpy as np

from item2vec.arrays import Rows
from item2vec.catalogue import Catalogue, Eligible
from item2vec.errors import StoreError
from item2vec.items import Items
from item2vec.recommender import Recommender
from item2vec.store import Store
from item2vec.together import Together

__all__ = ["Preparation"]

MAX_NEW_ITEMS = 20_000
MAX_BARE_ITEMS = 1_000

log = logging.getLogger(__name__)

_lock = threading.RLock()


def _renew_lock() -> None:
    """Replace the lock in a forked child, where no thread would release it."""
    global _lock  # noqa: PLW0603 - one lock per process
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_renew_lock)


@dataclass(frozen=True, eq=False)
class _Read:
    """A catalogue, its number of reads from the store so far, and its new items, which the model lacks.

    ``new`` holds the new items with attributes, and ``bare`` those without; see ``_read_of``.
    """

    catalogue: Catalogue
    n_reads: int
    new: Items
    bare: Items

    def without_rows(self, model: Recommender) -> Items:
        """Return the new items without a row in ``model``; of more than 1,000, the newest bare items."""
        vocabulary = model.vocabulary
        new, bare = (
            items.take(np.flatnonzero(vocabulary.encode(items.vocabulary.ids) < 0))
            for items in (self.new, self.bare)
        )
        rest = new.updated(bare)
        return rest.take(np.arange(len(rest))[-MAX_BARE_ITEMS:])


@dataclass(frozen=True, eq=False)
class _Prepared:
    """A model that is prepared for a catalogue.

    ``added`` holds the new items with attributes for which ``extended`` was computed: ``read.new``, or those
    of an earlier catalogue. It is ``None`` before the first computation, and after a failed one. ``extended``
    is the original model plus rows for items of ``added``, and for items without attributes; it is ``None``
    if no rows were added. ``model`` is the extended (or the original) model with the masks of ``eligible``.
    """

    read: _Read
    added: Items | None
    extended: Recommender | None  # None: the original model; a reference would keep it in the cache
    eligible: Eligible
    model: Recommender


class Preparation:
    """Models with rows for the new items of a catalogue, and with masks of its active items.

    The result for a model is cached as long as the model is in use. If several requests need the same result,
    one of them computes the result, and the others wait. The rows are computed again only if there are other
    new items with attributes, or their attributes have changed. Any other change of the catalogue, such as
    another price of a known item, renews the masks, titles and attributes only.

    A new item without a known attribute value gets a row as soon as items with a row occur beside its first
    interactions in the store; see ``Together``. Items without a row are looked up after each read of the
    catalogue. Their rows then stay as they are until the rows of all new items are computed again.

    Parameters
    ----------
    store
        The store of the interactions. ``None``: items without a known attribute value get no rows.
    wait
        Whether the first request after new items appear waits for their vectors, which can take seconds. If
        false, the vectors are computed in a thread, and the model has no rows for the new items meanwhile.
        The first call waits in any case.

    Examples
    --------
    >>> from item2vec import ItemVectors, Vocabulary
    >>> songs = Items.of({"s1": {"genre": "jazz"}, "s2": {"genre": "soul"}})
    >>> model = Recommender(ItemVectors(songs.vocabulary, np.eye(2), None, np.ones(2)), items=songs)
    >>> more = songs.updated(Items.of({"s3": {"genre": "soul"}}))
    >>> Preparation(wait=True).of(model, Catalogue.of(more)).vocabulary
    Vocabulary(3 ids: 's1', 's2', 's3')
    """

    def __init__(self, store: Store | None = None, *, wait: bool) -> None:
        self._together = None if store is None else Together(store)
        self._wait = wait
        self._latest: tuple[Catalogue, int] | None = None
        self._prepared: WeakKeyDictionary[Recommender, _Prepared] = WeakKeyDictionary()
        self._extending: WeakKeyDictionary[Recommender, int] = WeakKeyDictionary()

    def of(
        self, model: Recommender, catalogue: Catalogue, *, n_reads: int = 0, wait: bool = False
    ) -> Recommender:
        """Return a model with rows for the new items of a catalogue, and with masks of its active items.

        ``n_reads`` is the number of reads of the catalogue so far; after each read, items without a row are
        looked up in the store. The call computes the rows of the new items if ``wait`` is true here or in the
        constructor, or if it is the first call of this object. Otherwise, a thread computes the missing rows.
        Until the thread has finished, the result has only the rows that were computed before. At most 20,000
        new items with attributes, and 1,000 without, get rows: the newest active ones and, if there are
        fewer, the newest inactive ones.
        """
        prepared = self._prepared.get(model)
        if prepared is None or not self._is_current(prepared, catalogue, n_reads, wait=wait):
            with _lock:
                prepared = self._prepared.get(model)
                if prepared is None or not self._is_current(prepared, catalogue, n_reads, wait=wait):
                    prepared = self._compute(model, catalogue, n_reads, prepared, wait=wait)
        return prepared.model

    def ahead(self, model: Recommender) -> None:
        """Prepare a model in advance, so that the first request for the model does not wait.

        The model is prepared for the latest catalogue that was passed to ``of``. If ``of`` has not been
        called, nothing is prepared.
        """
        if self._latest is not None:
            catalogue, n_reads = self._latest
            prepared = self.of(model, catalogue, n_reads=n_reads, wait=True)
            prepared.recommend(prepared.vocabulary.ids[:1])

    def _is_current(self, prepared: _Prepared, catalogue: Catalogue, n_reads: int, *, wait: bool) -> bool:
        read, waits = prepared.read, wait or self._wait
        is_read = read.catalogue is catalogue and read.n_reads >= n_reads
        return is_read and (not waits or prepared.added is read.new)

    def _compute(
        self, model: Recommender, catalogue: Catalogue, n_reads: int, before: _Prepared | None, *, wait: bool
    ) -> _Prepared:
        wait = wait or self._wait or self._latest is None
        self._latest = catalogue, n_reads
        if before is not None and before.read.catalogue is catalogue:
            read = replace(before.read, n_reads=n_reads)
        else:
            read = _read_of(model, catalogue, n_reads)
        new = read.new
        added = None if before is None else before.added
        extended = model if before is None or before.extended is None else before.extended
        if added is not None and _have_same_rows(added, new):
            added = new
        elif wait or not len(new):
            added, extended = new, _extended(model, catalogue.items, new)
        else:
            self._extend_later(model)
        # Kept before the store is read, so that other requests do not wait for an unreachable server.
        prepared = self._keep(model, read, added, extended)
        if self._together is None or not len(read.without_rows(extended)):
            return prepared
        if wait:
            return self._keep(model, read, added, self._with_rows_beside(extended, read))
        self._extend_later(model)
        return prepared

    def _keep(self, model: Recommender, read: _Read, added: Items | None, extended: Recommender) -> _Prepared:
        before = self._prepared.get(model)
        own = None if extended is model else extended
        if before is not None and before.read.catalogue is read.catalogue and before.extended is own:
            prepared = replace(before, read=read, added=added)
        else:
            eligible = Eligible(
                read.catalogue,
                extended.vocabulary,
                attributes=model.items,  # those of new items may have changed since ``extended`` was computed
                before=None if before is None else before.eligible,
            )
            prepared = _Prepared(read, added, own, eligible, extended.with_catalogue(eligible))
        self._prepared[model] = prepared
        return prepared

    def _with_rows_beside(self, model: Recommender, read: _Read) -> Recommender:
        """Return ``model`` with rows for new items without one, from the items beside them in the store.

        If the store fails, a warning is logged, and ``model`` is returned.
        """
        items = read.without_rows(model)
        if self._together is None or not len(items):
            return model
        try:
            beside = self._together.of(model, read.catalogue, items.vocabulary.ids)
        except StoreError as error:
            log.warning("new items without a known attribute value were not looked up: %s", error)
            return model
        found = np.flatnonzero([item in beside for item in items.vocabulary])
        return model.with_items(items.take(found), together=beside) if len(found) else model

    def _extend_later(self, model: Recommender) -> None:
        """Start a thread that adds the new items to a model, unless one already runs in this process."""
        if self._extending.get(model) != os.getpid():
            self._extending[model] = os.getpid()
            name = "item2vec-new-items"
            threading.Thread(target=self._extend, args=(model,), name=name, daemon=True).start()

    def _extend(self, model: Recommender) -> None:
        """Add the new items of the latest catalogue to a model; repeat if the catalogue changed meanwhile."""
        try:
            self._extend_until_current(model)
        except BaseException:
            with _lock:
                self._extending.pop(model, None)  # otherwise, no later call would start a thread
            raise

    def _extend_until_current(self, model: Recommender) -> None:
        while True:
            with _lock:
                before = self._prepared[model]
            read, added, has_failed = before.read, before.read.new, False
            try:
                extended = self._with_rows_beside(_with_new(model, before), read)
            except Exception:
                log.exception("the vectors of the new items of the store could not be computed")
                extended, has_failed = model, True
            with _lock:
                latest = self._prepared[model].read
                is_same = _have_same_rows(added, latest.new)
                added = latest.new if is_same else added
                self._keep(model, latest, None if has_failed else added, extended)
                if is_same and latest.n_reads == read.n_reads:
                    del self._extending[model]
                    return


def _read_of(model: Recommender, catalogue: Catalogue, n_reads: int) -> _Read:
    """Return the new items of a catalogue, oldest first: those that the model lacks.

    Of more than ``MAX_NEW_ITEMS`` items with attributes, or ``MAX_BARE_ITEMS`` without, the newest ones are
    returned, active items before inactive ones. If the rows of the model are groups of items, there are none.
    """
    items, unknown = catalogue.items, np.empty(0, np.intp)
    if model.adapter.group_by is None:
        unknown = np.flatnonzero(model.vocabulary.encode(items.vocabulary.ids) < 0)
    is_described = np.array([bool(items.attributes[code]) for code in unknown.tolist()], dtype=bool)
    new, bare = unknown[is_described], unknown[~is_described]
    if len(new) > MAX_NEW_ITEMS:
        message = "%d items of the store are not in the model; only the newest %d get vectors"
        log.warning(message, len(new), MAX_NEW_ITEMS)
    newest = (_newest(new, catalogue, MAX_NEW_ITEMS), _newest(bare, catalogue, MAX_BARE_ITEMS))
    return _Read(catalogue, n_reads, *map(items.take, newest))


def _newest(codes: Rows, catalogue: Catalogue, n: int) -> Rows:
    """Return ``n`` of the codes: those of the newest active items, then of the newest inactive ones."""
    # The items of a catalogue are in the order in which they were added to the store.
    inactive_first = np.argsort(catalogue.active[codes], kind="stable")
    return np.sort(codes[inactive_first][-n:])


def _have_same_rows(items: Items, others: Items) -> bool:
    """Return whether new items have the same rows: their ids and attributes are equal."""
    return items.vocabulary == others.vocabulary and items.attributes == others.attributes


def _with_new(model: Recommender, prepared: _Prepared) -> Recommender:
    """Return a model with rows for the new items with attributes, from ``prepared`` if it has these rows."""
    new = prepared.read.new
    if prepared.added is None or not _have_same_rows(prepared.added, new):
        return _extended(model, prepared.read.catalogue.items, new)
    return model if prepared.extended is None else prepared.extended


def _extended(model: Recommender, items: Items, new: Items) -> Recommender:
    """Return a model with rows for ``new`` items.

    If the model has no attributes, those of all ``items`` of the catalogue are read.
    """
    if len(new) == MAX_NEW_ITEMS:
        # ``items`` may have more new items.
        ids = items.vocabulary.ids
        kept = (model.vocabulary.encode(ids) >= 0) | (new.vocabulary.encode(ids) >= 0)
        items = items.take(np.flatnonzero(kept))
    return model.with_items(items) if len(new) else model
