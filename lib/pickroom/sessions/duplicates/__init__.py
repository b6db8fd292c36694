"""Find duplicates across folders and projects, suggest which one to keep, and set the others aside.

Pairs of two projects are only reported: no pair is used in training, and no file of one project moves because of a file
of another.
"""
