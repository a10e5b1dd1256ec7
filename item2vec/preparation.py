"""``Preparation``: a cache of models with rows for the new items of a catalogue, and with active flags."""

from __future__ import annotations

import logging
import os
import threading
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np

from item2vec.catalogue import Catalogue, Eligible
from item2vec.items import Items
from item2vec.recommender import Recommender

__all__ = ["Preparation"]

MAX_NEW_ITEMS = 20_000

log = logging.getLogger(__name__)

_lock = threading.RLock()


def _renew_lock() -> None:
    """Replace the lock in a forked child, where no thread would release it."""
    global _lock  # noqa: PLW0603 - one lock per process
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_renew_lock)


@dataclass(frozen=True, eq=False)
class _Prepared:
    """A model that is prepared for a catalogue.

    ``new`` holds the new items of the catalogue (see ``_new_items``). ``added`` holds the new items for which
    ``extended`` was computed: ``new``, or the new items of an earlier catalogue. It is ``None`` before the
    first computation, and after a failed one. ``extended`` is the original model plus rows for items of
    ``added``, or ``None`` if no rows were added. ``model`` is the extended (or the original) model with the
    masks of ``eligible``.
    """

    catalogue: Catalogue
    new: Items
    added: Items | None
    extended: Recommender | None  # None: the original model; a reference would keep it in the cache
    eligible: Eligible
    model: Recommender


class Preparation:
    """Models with rows for the new items of a catalogue, and with masks of its active items.

    The result for a model is cached as long as the model is in use. If several requests need the same result,
    one of them computes the result, and the others wait. The rows are computed again only if there are other
    new items, or their attributes have changed. Any other change of the catalogue, such as another price of a
    known item, renews the masks, titles and attributes only.

    Parameters
    ----------
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

    def __init__(self, *, wait: bool) -> None:
        self._wait = wait
        self._latest: Catalogue | None = None
        self._prepared: WeakKeyDictionary[Recommender, _Prepared] = WeakKeyDictionary()
        self._extending: WeakKeyDictionary[Recommender, int] = WeakKeyDictionary()

    def of(self, model: Recommender, catalogue: Catalogue, *, wait: bool = False) -> Recommender:
        """Return a model with rows for the new items of a catalogue, and with masks of its active items.

        The call computes the rows of the new items if ``wait`` is true here or in the constructor, or if it
        is the first call of this object. Otherwise, a thread computes the missing rows. Until the thread has
        finished, the result has only the rows that were computed before. At most 20,000 new items get rows:
        the newest active ones and, if there are fewer, the newest inactive ones.
        """
        prepared = self._prepared.get(model)
        if prepared is None or not self._is_current(prepared, catalogue, wait=wait):
            with _lock:
                prepared = self._prepared.get(model)
                if prepared is None or not self._is_current(prepared, catalogue, wait=wait):
                    prepared = self._compute(model, catalogue, prepared, wait=wait)
        return prepared.model

    def ahead(self, model: Recommender) -> None:
        """Prepare a model in advance, so that the first request for the model does not wait.

        The model is prepared for the latest catalogue that was passed to ``of``. If ``of`` has not been
        called, nothing is prepared.
        """
        if self._latest is not None:
            prepared = self.of(model, self._latest, wait=True)
            prepared.recommend(prepared.vocabulary.ids[:1])

    def _is_current(self, prepared: _Prepared, catalogue: Catalogue, *, wait: bool) -> bool:
        waits = wait or self._wait
        return prepared.catalogue is catalogue and (not waits or prepared.added is prepared.new)

    def _compute(
        self, model: Recommender, catalogue: Catalogue, before: _Prepared | None, *, wait: bool
    ) -> _Prepared:
        wait = wait or self._wait or self._latest is None
        self._latest = catalogue
        new = _new_items(model, catalogue)
        added = None if before is None else before.added
        extended = model if before is None or before.extended is None else before.extended
        if added is not None and _have_same_rows(added, new):
            added = new
        elif wait or not len(new):
            added, extended = new, _extended(model, catalogue.items, new)
        else:
            self._extend_later(model)
        return self._keep(model, catalogue, new, added, extended)

    def _keep(
        self, model: Recommender, catalogue: Catalogue, new: Items, added: Items | None, extended: Recommender
    ) -> _Prepared:
        before = self._prepared.get(model)
        eligible = Eligible(
            catalogue,
            extended.vocabulary,
            attributes=model.items,  # those of new items may have changed since ``extended`` was computed
            before=None if before is None else before.eligible,
        )
        own = None if extended is model else extended
        prepared = _Prepared(catalogue, new, added, own, eligible, extended.with_catalogue(eligible))
        self._prepared[model] = prepared
        return prepared

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
                catalogue, added = self._prepared[model].catalogue, self._prepared[model].new
            has_failed = False
            try:
                extended = _extended(model, catalogue.items, added)
            except Exception:
                log.exception("the vectors of the new items of the store could not be computed")
                extended, has_failed = model, True
            with _lock:
                latest = self._prepared[model]
                is_current = _have_same_rows(added, latest.new)
                added = latest.new if is_current else added
                self._keep(model, latest.catalogue, latest.new, None if has_failed else added, extended)
                if is_current:
                    del self._extending[model]
                    return


def _new_items(model: Recommender, catalogue: Catalogue) -> Items:
    """Return the items that should get rows, oldest first: those with attributes that the model lacks.

    Of more than ``MAX_NEW_ITEMS`` such items, the newest ones are returned, active items before inactive
    ones. If the rows of the model are groups of items, the result is empty.
    """
    items, new = catalogue.items, np.empty(0, np.intp)
    if model.adapter.group_by is None:
        unknown = np.flatnonzero(model.vocabulary.encode(items.vocabulary.ids) < 0).tolist()
        new = np.array([code for code in unknown if items.attributes[code]], dtype=np.intp)
    if len(new) > MAX_NEW_ITEMS:
        message = "%d items of the store are not in the model; only the newest %d get vectors"
        log.warning(message, len(new), MAX_NEW_ITEMS)
        # The items of a catalogue are in the order in which they were added to the store.
        inactive_first = np.argsort(catalogue.active[new], kind="stable")
        new = np.sort(new[inactive_first][-MAX_NEW_ITEMS:])
    return items.take(new)


def _have_same_rows(items: Items, others: Items) -> bool:
    """Return whether new items have the same rows: their ids and attributes are equal."""
    return items.vocabulary == others.vocabulary and items.attributes == others.attributes


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
