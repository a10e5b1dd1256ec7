"""Run migrations on a connection of item2vec.store, which locks the database, and commits or rolls back."""

from alembic import context

from item2vec.store.tables import metadata

connection = context.config.attributes.get("connection")
if connection is None:
    raise SystemExit("run item2vec db upgrade --store URL, which locks the database first")

context.configure(
    connection=connection,
    target_metadata=metadata,
    render_as_batch=True,
    # item2vec.store configures SQLite's driver for transactional DDL.
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
