"""Years of old picks become training data: CSV logs, old databases, pairs of folders. Nothing is invented."""
