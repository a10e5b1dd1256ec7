"""Add the table of the first users of each item, to find the first interactions of a new item."""

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
        "SELECT item_id, user_id, first FROM ("
        "SELECT item_id, user_id, min(ingested_at) AS first, row_number() OVER "
        "(PARTITION BY item_id ORDER BY min(ingested_at), user_id) AS number "
        "FROM interaction GROUP BY item_id, user_id) AS pairs WHERE number <= 5"
    )


def downgrade() -> None:
    op.drop_table("first_user")
