"""The ports made real: SQLite through SQLAlchemy holds the truth, LanceDB an index over it."""
