"""One SQLite file per project: one module per table, one writer per table, migrations as SQL files."""
