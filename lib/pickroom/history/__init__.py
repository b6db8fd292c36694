"""Import old picks as training data: CSV logs, old databases, pairs of folders. Unknown values stay NULL."""
