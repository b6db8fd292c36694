"""Questions over every project at once: DuckDB on typed views, named queries, figures, sheets. Only ever reads."""
