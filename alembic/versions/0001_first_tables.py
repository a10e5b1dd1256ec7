"""Create the tables of users, items, interactions, runs, promotions and recommendations.

A released revision must not change. It therefore does not import item2vec, whose table definitions change.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

INT64 = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIMESTAMP = sa.DateTime(timezone=True).with_variant(sa.Integer(), "sqlite")
KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
JSON = sa.JSON().with_variant(sa.Text(), "sqlite")
BOOLEAN = sa.Boolean().with_variant(sa.Integer(), "sqlite")
REAL = sa.REAL()
DOUBLE = sa.Double().with_variant(sa.REAL(), "sqlite")


def key_check(table: str, column: str) -> sa.CheckConstraint:
    size = {
        "sqlite": f"length(CAST({column} AS BLOB)) BETWEEN 1 AND 512 AND instr({column}, char(0)) = 0",
        "postgresql": f"octet_length({column}) BETWEEN 1 AND 512",
    }
    return check(table, column, size[op.get_bind().dialect.name])


def check(table: str, name: str, rule: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(rule, name=op.f(f"ck_{table}_{name}"))


def object_check(table: str, column: str) -> sa.CheckConstraint:
    type_of = {"sqlite": "json_type", "postgresql": "json_typeof"}[op.get_bind().dialect.name]
    return check(table, column, f"{type_of}({column}) = 'object'")


def reference(table: str, column: str, to: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [f"{to}.id"], name=op.f(f"fk_{table}_{column}_{to}"))


def primary_key(table: str, *columns: str) -> sa.PrimaryKeyConstraint:
    return sa.PrimaryKeyConstraint(*columns, name=op.f(f"pk_{table}"))


def upgrade() -> None:
    op.create_table(
        "user_account",
        sa.Column("id", INT64, sa.Identity(), nullable=False),
        sa.Column("external_id", KEY, nullable=False),
        primary_key("user_account", "id"),
        sa.UniqueConstraint("external_id", name=op.f("uq_user_account_external_id")),
        key_check("user_account", "external_id"),
        sqlite_autoincrement=True,
        sqlite_strict=True,
    )
    create_item()
    create_interaction()
    create_run_and_promotion()
    op.create_table(
        "recommendation",
        sa.Column("version", KEY, nullable=False),
        sa.Column("user_id", INT64, nullable=False),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("item_id", INT64, nullable=False),
        sa.Column("score", DOUBLE, nullable=False),
        primary_key("recommendation", "version", "user_id", "rank"),
        reference("recommendation", "user_id", "user_account"),
        reference("recommendation", "item_id", "item"),
        key_check("recommendation", "version"),
        check("recommendation", "rank", "rank >= 1"),
        sqlite_with_rowid=False,
        sqlite_strict=True,
    )
    op.create_index(op.f("ix_recommendation_user_id"), "recommendation", ["user_id"])


def create_item() -> None:
    implied_by_types_on_postgresql = [
        check("item", "title", "instr(title, char(0)) = 0"),
        check("item", "active", "active IN (0, 1)"),
    ]
    op.create_table(
        "item",
        sa.Column("id", INT64, sa.Identity(), nullable=False),
        sa.Column("external_id", KEY, nullable=False),
        sa.Column("title", sa.Text()),
        sa.Column("attributes", JSON, server_default="{}", nullable=False),
        sa.Column("active", BOOLEAN, server_default=sa.true(), nullable=False),
        primary_key("item", "id"),
        sa.UniqueConstraint("external_id", name=op.f("uq_item_external_id")),
        key_check("item", "external_id"),
        object_check("item", "attributes"),
        *(implied_by_types_on_postgresql if op.get_bind().dialect.name == "sqlite" else []),
        sqlite_autoincrement=True,
        sqlite_strict=True,
    )
    op.create_index(
        "ix_item_inactive",
        "item",
        ["external_id"],
        sqlite_where=sa.text("active = 0"),
        postgresql_where=sa.text("NOT active"),
    )


def create_interaction() -> None:
    op.create_table(
        "interaction",
        sa.Column("user_id", INT64, nullable=False),
        sa.Column("occurred_at", TIMESTAMP, nullable=False),
        sa.Column("event_key", KEY, nullable=False),
        sa.Column("source", KEY, nullable=False),
        sa.Column("item_id", INT64, nullable=False),
        sa.Column("event", KEY, nullable=False),
        sa.Column("weight", REAL, nullable=False),
        sa.Column("session", KEY),
        sa.Column("ingested_at", TIMESTAMP, nullable=False),
        sa.Column("batch_id", INT64, nullable=False),
        primary_key("interaction", "user_id", "occurred_at", "event_key", "source"),
        reference("interaction", "user_id", "user_account"),
        reference("interaction", "item_id", "item"),
        sa.UniqueConstraint("source", "event_key", name=op.f("uq_interaction_source_event_key")),
        *(key_check("interaction", column) for column in ("event_key", "source", "event", "session")),
        check("interaction", "weight", "weight >= 0 AND weight < 1e39"),
        sqlite_with_rowid=False,
        sqlite_strict=True,
    )


def create_run_and_promotion() -> None:
    op.create_table(
        "run",
        sa.Column("id", INT64, sa.Identity(), nullable=False),
        sa.Column("started_at", TIMESTAMP, nullable=False),
        sa.Column("finished_at", TIMESTAMP),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("version", KEY),
        sa.Column("reason", sa.Text()),
        sa.Column("config", JSON, server_default="{}", nullable=False),
        sa.Column("gates", JSON, server_default="{}", nullable=False),
        sa.Column("metrics", JSON, server_default="{}", nullable=False),
        primary_key("run", "id"),
        check("run", "status", "status IN ('running', 'promoted', 'refused', 'failed')"),
        key_check("run", "version"),
        object_check("run", "config"),
        object_check("run", "gates"),
        object_check("run", "metrics"),
        sqlite_autoincrement=True,
        sqlite_strict=True,
    )
    op.create_table(
        "promotion",
        sa.Column("generation", INT64, autoincrement=False, nullable=False),
        sa.Column("version", KEY, nullable=False),
        sa.Column("previous", KEY),
        sa.Column("manifest_sha256", sa.Text(), nullable=False),
        sa.Column("run_id", INT64),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text()),
        sa.Column("promoted_at", TIMESTAMP, nullable=False),
        primary_key("promotion", "generation"),
        reference("promotion", "run_id", "run"),
        check("promotion", "generation", "generation >= 1"),
        check("promotion", "manifest_sha256", "length(manifest_sha256) = 64"),
        key_check("promotion", "version"),
        key_check("promotion", "previous"),
        sqlite_strict=True,
    )


def downgrade() -> None:
    for table in ("recommendation", "promotion", "run", "interaction", "item", "user_account"):
        op.drop_table(table)
