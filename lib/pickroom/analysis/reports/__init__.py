"""The report of a project, and finishing it: papermill runs the notebooks, the archive keeps what was made."""
