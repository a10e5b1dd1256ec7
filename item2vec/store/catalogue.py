"""Read and change the items of the database: titles, attributes and active flags.

Each change has a revision number (see ``revisions``), so that a reader can query only later changes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import sqlalchemy as sa

from item2vec.catalogue import Catalogue
from item2vec.items import Items
from item2vec.store.connect import undamaged
from item2vec.store.ids import as_json, insert_into, listed
from item2vec.store.revisions import last_revision, next_revision
from item2vec.store.tables import item
from item2vec.store.values import check_text, check_value
from item2vec.types import Vocabulary

__all__ = ["check_items", "inactive_items", "read_catalogue", "read_items", "set_active", "upsert"]


def check_items(items: Items) -> list[dict[str, Any]]:
    """Check items; return the rows to write to the table ``item``, in ascending order of id.

    Raise ``InputError`` for a title or an attribute that a database would reject or change.
    """
    rows = []
    for id_, title, attributes in zip(items.vocabulary, items.titles, items.attributes, strict=True):
        where = f"item {id_!r}:"
        if title is not None:
            check_text(title, f"{where} title")
        for name, value in attributes.items():
            check_text(name, f"{where} an attribute name")
            check_value(value, f"{where} {name}")
        rows.append({"external_id": id_, "title": title, "attributes": dict(attributes)})
    return sorted(rows, key=lambda row: row["external_id"])


def upsert(connection: sa.Connection, rows: Sequence[Mapping[str, Any]]) -> int:
    """Insert new items, and update existing items. Return the number of new items.

    An update replaces the title and the attributes of an item.
    """
    revision = next_revision(connection)
    insert = insert_into(connection, item).on_conflict_do_nothing().returning(item.c.external_id)
    new = set(connection.execute(insert, [{**row, "revision": revision} for row in rows]).scalars())
    existing = [
        {"key": row["external_id"], "new_title": row["title"], "new_attributes": row["attributes"]}
        for row in rows
        if row["external_id"] not in new
    ]
    if existing:
        update = (
            sa.update(item)
            .where(item.c.external_id == sa.bindparam("key"))
            .values(
                title=sa.bindparam("new_title"), attributes=sa.bindparam("new_attributes"), revision=revision
            )
        )
        connection.execute(update, existing)
    return len(new)


def set_active(connection: sa.Connection, ids: Sequence[str], *, active: bool) -> int:
    """Activate or deactivate items, and return the number of changed items.

    Raise ``UnknownItemError`` if an id is unknown.
    """
    revision = next_revision(connection)
    is_listed = item.c.external_id.in_(listed(connection))
    parameters = {"ids": as_json(ids)}
    existing = set(connection.scalars(sa.select(item.c.external_id).where(is_listed), parameters))
    unknown = next((id_ for id_ in ids if id_ not in existing), None)
    if unknown is not None:
        all_ids = connection.scalars(sa.select(item.c.external_id).order_by(item.c.external_id))
        Vocabulary(tuple(all_ids)).code(unknown)  # raises an error that suggests a similar id
    differs = item.c.active != sa.literal(active, item.c.active.type)
    update = sa.update(item).where(is_listed, differs).values(active=active, revision=revision)
    update = update.returning(item.c.id)
    return len(connection.execute(update, parameters).all())


def read_items(connection: sa.Connection) -> Items:
    """Return all items, active and inactive, in ascending order of id."""
    columns = (item.c.external_id, item.c.title, item.c.attributes)
    with undamaged(connection):
        rows = connection.execute(sa.select(*columns).order_by(item.c.external_id)).all()
        ids, titles, attributes = zip(*rows, strict=True) if rows else ((), (), ())
        return Items(Vocabulary(ids), titles, attributes)


def read_catalogue(connection: sa.Connection, known: Catalogue | None) -> Catalogue:
    """Return all items with their active flags.

    ``known`` is the catalogue that an earlier call returned, or ``None`` to read all items. With ``known``,
    only the items that were inserted or changed since that call are read.
    """
    revision = last_revision(connection)
    if known is not None and known.revision == revision:
        return known
    # After a restore from backup, the revision may be lower than ``known.revision``. All items are then read.
    known = None if known is None or known.revision > revision else known
    columns = (item.c.external_id, item.c.title, item.c.attributes, item.c.active)
    statement = sa.select(*columns).order_by(item.c.external_id)
    if known is not None:
        statement = statement.where(item.c.revision > known.revision)
    with undamaged(connection):
        rows = connection.execute(statement).all()
        ids, titles, attributes, active = zip(*rows, strict=True) if rows else ((), (), (), ())
        items = Items(Vocabulary(ids), titles, attributes)
    changes = Catalogue(items, np.array(active, dtype=bool), revision)
    return changes if known is None else known.updated(changes)


def inactive_items(connection: sa.Connection) -> list[str]:
    """Return the ids of inactive items, in ascending order."""
    statement = sa.select(item.c.external_id).where(item.c.active == sa.false()).order_by(item.c.external_id)
    return list(connection.scalars(statement))
