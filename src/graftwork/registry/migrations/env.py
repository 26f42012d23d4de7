"""What Alembic runs to migrate: on the connection that it was given, within the caller's transaction."""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
