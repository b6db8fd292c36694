"""Boards of thumbnails on which the user marks images: the folder viewer, and what the sorter shares with it."""
