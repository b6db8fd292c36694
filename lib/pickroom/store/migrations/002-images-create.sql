-- What the last scan met, so that an unchanged file is never read twice and every image in is accounted for.
-- One row is one image file in a source folder; reason says why it can be in no group (NULL: it can).
CREATE TABLE images (
    directory TEXT NOT NULL,
    filename TEXT NOT NULL,
    width INTEGER,
    height INTEGER,
    stage REAL,
    taken_at TEXT,
    sha256 TEXT,
    file_size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    reason TEXT,
    PRIMARY KEY (directory, filename)
) STRICT;
CREATE INDEX images_by_sha256 ON images (sha256);
