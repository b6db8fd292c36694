"""Files that survive a crash: atomic writes, locks, append-only logs, zips and JSON records."""
