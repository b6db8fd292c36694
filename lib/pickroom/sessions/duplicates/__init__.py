"""Duplicates across folders and projects: found by content and by look, the one to keep suggested, the rest set aside.

Projects are only reported together: nothing that is found here ever reaches a training set, and no file of one
project moves because of a file of another.
"""
