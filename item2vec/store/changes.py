"""Change single fields of an item of the store."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from item2vec.store.catalogue import change, check_item
from item2vec.store.store import Store
from item2vec.types import check_ids

__all__ = ["change_item"]


def change_item(store: Store, id_: str, fields: Mapping[str, Any]) -> None:
    """Change fields of an item in one transaction, and insert the item if it is not in the store.

    ``fields`` contains any of ``title``, ``attributes`` (all attributes of the item) and ``active``. The
    others keep their values in the store; of a new item, title and attributes are then unknown, and it is
    active. The title ``None`` is stored as an empty title, until a change or an ingestion gives a title, so
    that the item does not get the title that a model knows. Raise ``InputError`` if the id, the title or an
    attribute is not a value that both SQLite and PostgreSQL store unchanged.
    """
    check_ids([id_])
    check_item(id_, fields.get("title"), fields.get("attributes", {}))
    values = dict(fields)
    if "title" in values:
        values["title"] = values["title"] or ""
    store._change_items(partial(change, id_=id_, values=values))
