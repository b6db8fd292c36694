"""Disk space that can safely come back: what it is, how large, and why; to the system's trash, or gone for good.

Safe means that it was proved now, not remembered: an archive is read back whole before the images that it makes
needless may go, and vectors only go when those of the project's own encoder are all there. Whatever cannot be proved
stays, with the reason. Dry run first: both look by `planning.plan`.
"""
