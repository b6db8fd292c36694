-- The sorter and the folder viewer keep every mark at once, so that a killed kernel, a reload or a second day resumes.
-- One row is one image marked in one room: folder is where it is to go, relative to the root. file_size and mtime_ns
-- are what was on screen: an image that changed since is held back. batch is NULL while the mark waits; an applied one
-- stays under its batch, and waits again once that batch is undone. held_reason says why an apply had to leave it.
CREATE TABLE image_marks (
    room TEXT NOT NULL CHECK (room IN ('sort', 'browse')),
    directory TEXT NOT NULL,
    filename TEXT NOT NULL,
    folder TEXT NOT NULL,
    file_size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    batch INTEGER,
    held_reason TEXT,
    updated_at TEXT NOT NULL,
    PRIMARY KEY (room, directory, filename)
) STRICT;

-- One row is one key that changed marks; undo walks it backwards, also after a restart. changes is a JSON array of
-- [path, folder before or null, folder after or null]; undone rows are what redo brings back.
CREATE TABLE mark_log (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    room TEXT NOT NULL CHECK (room IN ('sort', 'browse')),
    key TEXT NOT NULL,
    changes TEXT NOT NULL CHECK (json_valid(changes)),
    undone INTEGER NOT NULL DEFAULT 0 CHECK (undone IN (0, 1))
) STRICT;

-- The sorter's folders in the order of their keys: a key must mean the same folder on the next day.
CREATE TABLE sort_folders (
    name TEXT PRIMARY KEY,
    place INTEGER NOT NULL UNIQUE
) STRICT;
