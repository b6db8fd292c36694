"""Vectors: every image embedded once, by one encoder a project, kept in Parquet part files (FORMATS.md, Vectors)."""
