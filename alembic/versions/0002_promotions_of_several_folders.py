"""Add the version to the primary key of promotions, because each models folder numbers its own generations.

If two promotions have the same generation, the downgrade fails, and the database is not changed.
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    set_key("generation", "version")


def downgrade() -> None:
    set_key("generation")


def set_key(*columns: str) -> None:
    with op.batch_alter_table("promotion") as batch:
        batch.drop_constraint(op.f("pk_promotion"), type_="primary")
        batch.create_primary_key(op.f("pk_promotion"), list(columns))
