"""What cannot be made again, in one verified file; and back into an empty place, or in place of what is there.

`contents` says what belongs to a backup, `writing` makes one, `reading` proves one, `restoring` brings it back.
"""
