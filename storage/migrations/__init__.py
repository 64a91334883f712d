"""How an older home's schema becomes the newest: Alembic's environment and its revisions."""
