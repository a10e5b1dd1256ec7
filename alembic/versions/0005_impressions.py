"""Add the table of impressions: the items that a recommender showed to a user.

The downgrade drops the table, and loses all impressions.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

INT64 = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIMESTAMP = sa.DateTime(timezone=True).with_variant(sa.Integer(), "sqlite")
KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
SIZE = {
    "sqlite": "length(CAST(version AS BLOB)) BETWEEN 1 AND 512 AND instr(version, char(0)) = 0",
    "postgresql": "octet_length(version) BETWEEN 1 AND 512",
}


def upgrade() -> None:
    op.create_table(
        "impression",
        sa.Column("user_id", INT64, nullable=False),
        sa.Column("shown_at", TIMESTAMP, nullable=False),
        sa.Column("item_id", INT64, nullable=False),
        sa.Column("version", KEY),
        sa.PrimaryKeyConstraint("user_id", "shown_at", "item_id", name=op.f("pk_impression")),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user_account.id"], name=op.f("fk_impression_user_id_user_account")
        ),
        sa.ForeignKeyConstraint(["item_id"], ["item.id"], name=op.f("fk_impression_item_id_item")),
        sa.CheckConstraint(SIZE[op.get_bind().dialect.name], name=op.f("ck_impression_version")),
        sqlite_with_rowid=False,
        sqlite_strict=True,
    )


def downgrade() -> None:
    op.drop_table("impression")
