"""Find duplicates; those of two projects are only reported: no file moves because of a file of another project."""
