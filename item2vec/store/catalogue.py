"""Read and change the items of the database: titles, attributes and active flags.

Each change has a revision number (see ``revisions``), so that a reader can query only later changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import sqlalchemy as sa

from item2vec.catalogue import Catalogue
from item2vec.items import Items, is_same
from item2vec.store.connect import undamaged
from item2vec.store.ids import as_json, insert_into, listed
from item2vec.store.revisions import last_revision, next_revision
from item2vec.store.tables import item
from item2vec.store.values import check_text, check_value
from item2vec.types import Vocabulary

__all__ = ["change", "check_item", "inactive_items", "read_catalogue", "read_items", "set_active", "upserts"]

ITEMS_PER_BATCH = 10_000
_Row = Mapping[str, Any]
"""External id, title and attributes of an item, by column of the table ``item``."""


def _checked_rows(items: Items) -> list[_Row]:
    """Check items; return their titles and attributes, in ascending order of id.

    Raise ``InputError`` for a title or an attribute that a database would reject or change.
    """
    rows: list[_Row] = []
    for id_, title, attributes in zip(items.vocabulary, items.titles, items.attributes, strict=True):
        check_item(id_, title, attributes)
        rows.append({"external_id": id_, "title": title, "attributes": dict(attributes)})
    return sorted(rows, key=lambda row: row["external_id"])


def check_item(id_: str, title: str | None, attributes: Mapping[str, Any]) -> None:
    """Raise ``InputError`` for a title or an attribute of an item that a database would reject or change."""
    where = f"item {id_!r}:"
    if title is not None:
        check_text(title, f"{where} title")
    for name, value in attributes.items():
        check_text(name, f"{where} an attribute name")
        check_value(value, f"{where} {name}")


def upserts(items: Items, *, replace: bool) -> Iterator[Callable[[sa.Connection], tuple[int, int]]]:
    """Check items, and yield one function per batch, to be called in a transaction.

    The function inserts new items and updates existing items. It returns the numbers of new and of changed
    items. For the rule of an update, and ``replace``, see ``Store.ingest_items``. Only new and changed items
    get the revision of the transaction.
    """
    # The attributes that an update sets or removes; None: all
    names = None if replace else frozenset(items.attribute_names)
    rows = _checked_rows(items)
    has_titles = replace or any(title is not None for title in items.titles)
    for start in range(0, len(rows), ITEMS_PER_BATCH):
        batch = rows[start : start + ITEMS_PER_BATCH]
        yield partial(_upsert, rows=batch, names=names, has_titles=has_titles)


def _upsert(
    connection: sa.Connection, rows: Sequence[_Row], names: frozenset[str] | None, has_titles: bool
) -> tuple[int, int]:
    revision = next_revision(connection)
    stored = _stored(connection, rows)
    new = _insert(connection, [row for row in rows if row["external_id"] not in stored], names, revision)
    # Meanwhile, the ingestion of events by another process may have inserted some of the items.
    known = new | stored.keys()
    stored |= _stored(connection, [row for row in rows if row["external_id"] not in known])
    changes = []
    for row in rows:
        if (old := stored.get(row["external_id"])) is None:
            continue
        title = row["title"] if has_titles else old.title
        if title is None and old.title == "":
            title = ""  # the title was removed (see ``changes.change_item``)
        attributes = _updated(old.attributes, row["attributes"], names)
        if title != old.title or not is_same(attributes, old.attributes):
            changes.append({"key": old.external_id, "new_title": title, "new_attributes": attributes})
    if changes:
        update = (
            sa.update(item)
            .where(item.c.external_id == sa.bindparam("key"))
            .values(
                title=sa.bindparam("new_title"), attributes=sa.bindparam("new_attributes"), revision=revision
            )
        )
        connection.execute(update, changes)
    return len(new), len(changes)


def _updated(
    old: dict[str, Any] | None, new: dict[str, Any], names: frozenset[str] | None
) -> dict[str, Any] | None:
    """Return attributes after an update. Unknown attributes remain unknown until an attribute is given."""
    if names is None:
        return new
    kept = {name: value for name, value in (old or {}).items() if name not in names}
    return None if old is None and not new else {**kept, **new}


def _stored(connection: sa.Connection, rows: Sequence[_Row]) -> dict[str, Any]:
    """Return the stored rows of items, by id. Ids that are not stored are omitted."""
    if not rows:
        return {}
    columns = (item.c.external_id, item.c.title, item.c.attributes)
    select = sa.select(*columns).where(item.c.external_id.in_(listed(connection)))
    ids = as_json([row["external_id"] for row in rows])
    with undamaged(connection):
        return {row.external_id: row for row in connection.execute(select, {"ids": ids}).all()}


def _insert(
    connection: sa.Connection, rows: Sequence[_Row], names: frozenset[str] | None, revision: int
) -> set[str]:
    """Insert items, except those that are already stored. Return the ids of the inserted items."""
    if not rows:
        return set()
    values = [
        {**row, "attributes": _updated(None, row["attributes"], names), "revision": revision} for row in rows
    ]
    insert = insert_into(connection, item).on_conflict_do_nothing().returning(item.c.external_id)
    return set(connection.execute(insert, values).scalars())


def change(connection: sa.Connection, id_: str, values: Mapping[str, Any]) -> None:
    """Set columns of an item. If the item is not stored, insert it with these columns."""
    row = {**values, "revision": next_revision(connection)}
    insert = insert_into(connection, item).values(external_id=id_, **row)
    update = {name: insert.excluded[name] for name in row}
    connection.execute(insert.on_conflict_do_update(index_elements=[item.c.external_id], set_=update))


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
        return _items_of(ids, titles, attributes)


def read_catalogue(connection: sa.Connection, known: Catalogue | None) -> Catalogue:
    """Return all items with their active flags, in the order in which the items were added.

    ``known`` is the catalogue that an earlier call returned, or ``None`` to read all items. With ``known``,
    only the items that were inserted or changed since that call are read.
    """
    revision = last_revision(connection)
    if known is not None and known.revision == revision:
        return known
    # After a restore from backup, the revision may be lower than ``known.revision``. All items are then read.
    known = None if known is None or known.revision > revision else known
    columns = (item.c.external_id, item.c.title, item.c.attributes, item.c.active)
    statement = sa.select(*columns)
    if known is None:
        statement = statement.order_by(item.c.id)
    else:
        # Ordered by "id" alone, SQLite might scan the whole table instead of the index of revisions.
        statement = statement.where(item.c.revision > known.revision).order_by(item.c.id + 0)
    with undamaged(connection):
        rows = connection.execute(statement).all()
        ids, titles, attributes, active = zip(*rows, strict=True) if rows else ((), (), (), ())
        items = _items_of(ids, titles, attributes)
    bare = frozenset(id_ for id_, own in zip(ids, attributes, strict=True) if own == {})
    changes = Catalogue(items, np.array(active, dtype=bool), revision, bare)
    return changes if known is None else known.updated(changes)


def _items_of(ids: Sequence[str], titles: Sequence[str | None], attributes: Sequence[Any]) -> Items:
    """Return the items of columns of the table ``item``; items of unknown attributes have no attributes."""
    rows = tuple({} if row is None else row for row in attributes)
    return Items(Vocabulary(tuple(ids)), tuple(titles), rows)


def inactive_items(connection: sa.Connection) -> list[str]:
    """Return the ids of inactive items, in ascending order."""
    statement = sa.select(item.c.external_id).where(item.c.active == sa.false()).order_by(item.c.external_id)
    return list(connection.scalars(statement))
