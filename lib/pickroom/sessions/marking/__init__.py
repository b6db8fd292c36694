"""Boards of thumbnails on which images are marked: shared by the sorter and the folder viewer."""
