"""Add revisions to items, so that a reader can select the items that have changed since its last query."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

INT64 = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("item", sa.Column("revision", INT64, server_default="0", nullable=False))
    op.create_index(op.f("ix_item_revision"), "item", ["revision"])


def downgrade() -> None:
    op.drop_index(op.f("ix_item_revision"), "item")
    op.drop_column("item", "revision")
