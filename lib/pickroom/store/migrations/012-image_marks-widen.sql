-- The room of duplicates marks images as sorter and folder viewer do, with an undo log of its own: a key that was
-- pressed in one room must never be taken back in another. SQLite cannot change a CHECK, so both tables are made anew.
ALTER TABLE image_marks RENAME TO narrow_marks;
CREATE TABLE image_marks (
    room TEXT NOT NULL CHECK (room IN ('sort', 'browse', 'duplicates')),
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
INSERT INTO image_marks SELECT * FROM narrow_marks;
DROP TABLE narrow_marks;

ALTER TABLE mark_log RENAME TO narrow_log;
CREATE TABLE mark_log (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    room TEXT NOT NULL CHECK (room IN ('sort', 'browse', 'duplicates')),
    key TEXT NOT NULL,
    changes TEXT NOT NULL CHECK (json_valid(changes)),
    undone INTEGER NOT NULL DEFAULT 0 CHECK (undone IN (0, 1))
) STRICT;
INSERT INTO mark_log SELECT * FROM narrow_log;
DROP TABLE narrow_log;
