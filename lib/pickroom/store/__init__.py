"""One SQLite file per project: one module and one writer per table, migrations as SQL files."""
