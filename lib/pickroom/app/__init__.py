"""Widgets, the app's pages and server, and the start of JupyterLab."""
