"""Let the attributes of an item be NULL: unknown, in contrast to known to be none.

Existing items without attributes get NULL, because revision 0005 does not distinguish the two. The downgrade
replaces NULL by an empty object.
"""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

# On SQLite, the table is rebuilt, and Alembic does not read this option from the old table.
OPTIONS = {"sqlite_autoincrement": True}


def upgrade() -> None:
    with op.batch_alter_table("item", table_kwargs=OPTIONS) as batch:
        batch.alter_column("attributes", nullable=True, server_default=None)
    op.execute("UPDATE item SET attributes = NULL WHERE CAST(attributes AS TEXT) = '{}'")


def downgrade() -> None:
    op.execute("UPDATE item SET attributes = '{}' WHERE attributes IS NULL")
    with op.batch_alter_table("item", table_kwargs=OPTIONS) as batch:
        batch.alter_column("attributes", nullable=False, server_default="{}")
