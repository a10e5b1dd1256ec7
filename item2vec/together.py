"""``Together``: the items that occurred together with new items, in the histories of a store."""

from __future__ import annotations

from collections.abc import Sequence
from weakref import WeakKeyDictionary

from item2vec.catalogue import Catalogue
from item2vec.recommender import Recommender
from item2vec.store import Store
from item2vec.store.new_items import FirstUsers, first_users
from item2vec.view import View

__all__ = ["Together"]

N_BESIDE = 2
USERS_PER_BLOCK = 100


class Together:
    """The items beside the first interactions of new items, in the histories of their first users in a store.

    An item is new for a model if all its interactions were ingested after the model was created. If its
    manifest contains no time of creation, no item is new. An item that training read, and dropped as too
    rare, is thereby not new.

    Of each history that the model reads, without dislikes, the two items before the first interaction with
    the new item count, and the two items after it.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._looked_up: WeakKeyDictionary[Recommender, FirstUsers] = WeakKeyDictionary()

    def of(self, model: Recommender, catalogue: Catalogue, items: Sequence[str]) -> dict[str, list[str]]:
        """Return, for each new item, the ids of the items beside its first interactions.

        Other items are omitted. Histories are read only for items whose first users, or the numbers of their
        interactions, have changed since the last call with this model.
        """
        created_at = model.parts.created_at
        if created_at is None:
            return {}
        users = first_users(self._store, items, after=created_at)
        before = self._looked_up.get(model, {})
        changed = {item: own for item, own in users.items() if before.get(item) != own}
        found = self._beside(View(model, None, catalogue, self._store, created_at), changed)
        self._looked_up[model] = users
        return found

    def _beside(self, view: View, users_of: FirstUsers) -> dict[str, list[str]]:
        items_of: dict[str, list[str]] = {}
        for item, users in users_of.items():
            for user, _ in users:
                items_of.setdefault(user, []).append(item)
        names, found = list(items_of), {item: list[str]() for item in users_of}
        for start in range(0, len(names), USERS_PER_BLOCK):
            block = names[start : start + USERS_PER_BLOCK]
            histories, _ = view.histories(block)
            for user, history in zip(block, histories.liked, strict=True):
                for item in items_of[user]:
                    if item in history:
                        at = history.index(item)
                        found[item] += history[max(0, at - N_BESIDE) : at]
                        found[item] += history[at + 1 : at + 1 + N_BESIDE]
        return found
