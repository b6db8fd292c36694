"""Free disk space: list what can be deleted, with sizes and reasons; move it to the trash, or delete it for good.

Everything is checked at the time of deletion: an archive is read back completely before its images can be deleted, and
vectors only when all those of the project's own encoder exist. Everything else stays, with the reason. The dry run and
the real run use the same `planning.plan`.
"""
