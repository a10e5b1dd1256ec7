"""Run migrations on a connection that ``item2vec.store`` has opened.

``item2vec.store`` locks the database before the migrations, and commits or rolls back the transaction after
the migrations.
"""

from alembic import context

from item2vec.store.tables import metadata

connection = context.config.attributes.get("connection")
if connection is None:
    raise SystemExit(
        "found no connection of item2vec.store; migrations require one, because item2vec.store locks the "
        "database: run item2vec db upgrade --store URL"
    )

context.configure(
    connection=connection,
    target_metadata=metadata,
    render_as_batch=True,
    # item2vec.store configures SQLite's driver for transactional DDL.
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
