"""Images become groups: by the stages in their names, or by similarity. Both say what was left out and why."""
