"""What Alembic runs: migrations on the connection that `memos.storage.migrate` opened.

Knows no URL: a home is only ever migrated inside a transaction of the process that opens it.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context

from memos.errors import UsageError
from memos.storage import schema


def migrate() -> None:
    connection: object = context.config.attributes.get("connection")
    if not isinstance(connection, sa.Connection):
        raise UsageError("Migrations run when a home is opened, not through the alembic command.")
    context.configure(connection=connection, target_metadata=schema.metadata, render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()


migrate()
