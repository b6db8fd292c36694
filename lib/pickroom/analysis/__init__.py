"""Analysis of all projects: DuckDB on typed views, named queries, figures, contact sheets. Read-only."""
