"""Decisions become file plans (pure), plans become moves: journalled, under one lock, recoverable, undoable."""
