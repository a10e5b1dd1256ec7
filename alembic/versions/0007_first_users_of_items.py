"""Add the table of the first users of each item, to find the first interactions of a new item.

Of each item with interactions, one user is stored, with the time of the first ingestion of the item.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

INT64 = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIMESTAMP = sa.DateTime(timezone=True).with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "first_user",
        sa.Column("item_id", INT64, nullable=False),
        sa.Column("user_id", INT64, nullable=False),
        sa.Column("ingested_at", TIMESTAMP, nullable=False),
        sa.PrimaryKeyConstraint("item_id", "user_id", name=op.f("pk_first_user")),
        sqlite_with_rowid=False,
        sqlite_strict=True,
    )
    op.execute(
        "INSERT INTO first_user (item_id, user_id, ingested_at) "
        "SELECT item_id, min(user_id), min(ingested_at) FROM interaction GROUP BY item_id"
    )


def downgrade() -> None:
    op.drop_table("first_user")
