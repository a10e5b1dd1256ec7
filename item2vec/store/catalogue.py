"""Items: what is known about them, which of them are active, and which have an attribute."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from item2vec.errors import InputTypeError
from item2vec.items import Items
from item2vec.store.connect import undamaged
from item2vec.store.ids import as_json, insert_into, listed
from item2vec.store.tables import item
from item2vec.store.values import can_be_held, check_text, check_value
from item2vec.types import Vocabulary

__all__ = ["check_items", "inactive_items", "items_where", "read_items", "set_active", "upsert", "wanted"]


def check_items(items: Items) -> list[dict[str, Any]]:
    """Return items as rows; refuse titles and attributes that some database could not hold as they are."""
    rows = []
    for id_, title, attributes in zip(items.vocabulary, items.titles, items.attributes, strict=True):
        where = f"item {id_!r}:"
        if title is not None:
            check_text(title, f"{where} title")
        for name, value in attributes.items():
            check_text(name, f"{where} an attribute's name")
            check_value(value, f"{where} {name}")
        rows.append({"external_id": id_, "title": title, "attributes": dict(attributes)})
    return sorted(rows, key=lambda row: row["external_id"])


def upsert(connection: sa.Connection, rows: Sequence[Mapping[str, Any]]) -> int:
    """Insert items, or replace the titles and attributes of known ones; return how many were new."""
    insert = insert_into(connection, item).on_conflict_do_nothing().returning(item.c.external_id)
    new = set(connection.execute(insert, rows).scalars())
    known = [
        {"key": row["external_id"], "new_title": row["title"], "new_attributes": row["attributes"]}
        for row in rows
        if row["external_id"] not in new
    ]
    if known:
        update = (
            sa.update(item)
            .where(item.c.external_id == sa.bindparam("key"))
            .values(title=sa.bindparam("new_title"), attributes=sa.bindparam("new_attributes"))
        )
        connection.execute(update, known)
    return len(new)


def set_active(connection: sa.Connection, ids: Sequence[str], *, active: bool) -> int:
    """Activate or deactivate items; return how many changed. An unknown one is ``UnknownItemError``."""
    some = item.c.external_id.in_(listed(connection))
    parameters = {"ids": as_json(ids)}
    known = set(connection.scalars(sa.select(item.c.external_id).where(some), parameters))
    unknown = next((id_ for id_ in ids if id_ not in known), None)
    if unknown is not None:
        everything = connection.scalars(sa.select(item.c.external_id).order_by(item.c.external_id))
        Vocabulary(tuple(everything)).code(unknown)
    other = item.c.active != sa.literal(active, item.c.active.type)
    update = sa.update(item).where(some, other).values(active=active).returning(item.c.id)
    return len(connection.execute(update, parameters).all())


def read_items(connection: sa.Connection) -> Items:
    """Return all items in the order of their ids, inactive ones too."""
    columns = (item.c.external_id, item.c.title, item.c.attributes)
    with undamaged(connection):
        rows = connection.execute(sa.select(*columns).order_by(item.c.external_id)).all()
        ids, titles, attributes = zip(*rows, strict=True) if rows else ((), (), ())
        return Items(Vocabulary(ids), titles, attributes)


def inactive_items(connection: sa.Connection) -> list[str]:
    """Return the ids of inactive items, in their order."""
    statement = sa.select(item.c.external_id).where(item.c.active == sa.false()).order_by(item.c.external_id)
    return list(connection.scalars(statement))


def wanted(conditions: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Return for each attribute the values that are wanted, any of which will do.

    ``None``, NaN and what no item can hold are left out: nothing is equal to them.
    """
    asked: dict[str, list[Any]] = {}
    for name, value in conditions.items():
        check_text(name, "an attribute's name")
        values = value if isinstance(value, list | tuple | set | frozenset) else [value]
        for one in values:
            if not isinstance(one, str | int | float | None):
                raise InputTypeError(
                    f"{name} is {value!r}; expected text, a number, true or false, or a list of these"
                )
        asked[name] = [one for one in values if one is not None and can_be_held(one)]
    return asked


def items_where(connection: sa.Connection, asked: Mapping[str, Sequence[Any]]) -> list[str]:
    """Return the ids of active items that have, for each attribute, one of its values."""
    statement = sa.select(item.c.external_id).where(item.c.active == sa.true())
    for number, (name, values) in enumerate(asked.items()):
        statement = statement.where(_meets(connection, number, name, values))
    return list(connection.scalars(statement.order_by(item.c.external_id)))


# Values travel as JSON, so that the database reads a number among them as it reads one in an attribute.
MEETS_SQLITE = """
    EXISTS (
        SELECT 1 FROM json_each(item.attributes) AS attribute
        WHERE attribute.key = :name AND (
            attribute.atom IN (SELECT value FROM json_each(:any_of))
            OR attribute.type = 'array' AND EXISTS (
                SELECT 1 FROM json_each(attribute.value) AS element
                WHERE element.atom IN (SELECT value FROM json_each(:any_of))
            )
        )
    )
"""
MEETS_POSTGRESQL = """
    EXISTS (
        SELECT 1 FROM (SELECT CAST(item.attributes AS jsonb) -> :name AS value) AS attribute,
            jsonb_array_elements(
                CASE jsonb_typeof(value) WHEN 'array' THEN value ELSE jsonb_build_array(value) END
            ) AS element
        WHERE element IN (SELECT jsonb_array_elements(CAST(:any_of AS jsonb)))
    )
"""


def _meets(connection: sa.Connection, number: int, name: str, values: Sequence[Any]) -> sa.TextClause:
    """Say in SQL what ``item2vec.items.meets`` says in Python."""
    meets = MEETS_SQLITE if connection.dialect.name == "sqlite" else MEETS_POSTGRESQL
    # Python's True equals 1; PostgreSQL's does not.
    truths = [bool(value) for value in values if not isinstance(value, str) and value in (0, 1)]
    any_of = as_json([*values, *truths, *map(int, truths)])
    text = meets.replace(":name", f":name_{number}").replace(":any_of", f":any_of_{number}")
    return sa.text(text).bindparams(**{f"name_{number}": name, f"any_of_{number}": any_of})
