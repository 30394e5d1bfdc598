"""What Alembic runs around the migrations: they join the transaction that ``storage.migrate`` has begun."""

from alembic import context

from kazoo_bridge.storage.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    on_version_apply=context.config.attributes.get("on_step"),
)
with context.begin_transaction():
    context.run_migrations()
