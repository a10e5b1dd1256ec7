"""Add positions, which order events with equal timestamps, and a flag for events without a timestamp.

Existing events get the position ``UNKNOWN_POSITION``, which is higher than all other positions. Existing
events with equal timestamps stay in the order of their keys until the events are ingested again. If the store
has events without timestamps, the downgrade fails, because revision 0003 would date these events to 1970.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

BOOLEAN = sa.Boolean().with_variant(sa.Integer(), "sqlite")
UNKNOWN_POSITION = 2**31 - 1
KEY = ("user_id", "occurred_at", "event_key", "source")


def upgrade() -> None:
    with op.batch_alter_table("interaction") as batch:
        batch.add_column(
            sa.Column("position", sa.Integer(), server_default=str(UNKNOWN_POSITION), nullable=False)
        )
        batch.add_column(sa.Column("dated", BOOLEAN, server_default=sa.true(), nullable=False))
        batch.create_check_constraint(op.f("ck_interaction_position"), "position >= 0")
        if op.get_bind().dialect.name == "sqlite":  # implied by the type boolean on PostgreSQL
            batch.create_check_constraint(op.f("ck_interaction_dated"), "dated IN (0, 1)")
        batch.drop_constraint(op.f("pk_interaction"), type_="primary")
        batch.create_primary_key(op.f("pk_interaction"), [*KEY[:2], "position", *KEY[2:]])


def downgrade() -> None:
    undated = sa.text("SELECT 1 FROM interaction WHERE NOT dated LIMIT 1")
    if op.get_bind().scalar(undated) is not None:
        raise RuntimeError(
            "the table interaction has rows without timestamps, which revision 0003 does not support: keep "
            "revision 0004"
        )
    with op.batch_alter_table("interaction") as batch:
        batch.drop_constraint(op.f("pk_interaction"), type_="primary")
        batch.create_primary_key(op.f("pk_interaction"), list(KEY))
        batch.drop_constraint(op.f("ck_interaction_position"), type_="check")
        if op.get_bind().dialect.name == "sqlite":
            batch.drop_constraint(op.f("ck_interaction_dated"), type_="check")
        batch.drop_column("dated")
        batch.drop_column("position")
