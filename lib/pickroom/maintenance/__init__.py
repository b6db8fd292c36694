"""Backups, disk space that can be freed, and the token budget."""
