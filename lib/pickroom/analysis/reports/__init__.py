"""Report on a project and finish it: papermill runs the report notebooks, and the archive keeps the results."""
