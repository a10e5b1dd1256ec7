"""Run migrations on the connection that item2vec.store opened, locked, and will commit or roll back."""

from alembic import context

from item2vec.store.tables import metadata

connection = context.config.attributes.get("connection")
if connection is None:
    raise SystemExit("run item2vec db upgrade --store URL, which locks the database first")

context.configure(
    connection=connection,
    target_metadata=metadata,
    render_as_batch=True,
    # SQLite's DDL is transactional where the driver lets it be, and item2vec.store sees to that.
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
