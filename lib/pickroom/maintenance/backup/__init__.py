"""Back up what cannot be made again in one verified file, and restore it.

`reading` defines the contents and verifies a backup, `writing` makes one, `restoring` restores it.
"""
