-- What old logs and folders know that is too little for ai_decisions: picks without sizes, crops without a group.
-- Only in <project>_legacy.db, next to the tables of every project database. Unknown is NULL: no placeholder is stored.

-- One row is one image chosen over others; others is a JSON array of file names. source_line is NULL for a pick that
-- was read off two folders.
CREATE TABLE IF NOT EXISTS legacy_selections (
    project_id TEXT NOT NULL,
    chosen TEXT NOT NULL,
    others TEXT NOT NULL CHECK (json_valid(others) AND json_type(others) = 'array' AND json_array_length(others) > 0),
    timestamp TEXT,
    source_file TEXT NOT NULL,
    source_line INTEGER
) STRICT;

-- One row is one file that was cropped; box is NULL where the log says only that. Its first row is kept, since a
-- file that was opened again after its crop was logged in the cropped frame (77 wrong rows in an earlier system).
CREATE TABLE IF NOT EXISTS legacy_crops (
    project_id TEXT NOT NULL,
    filename TEXT NOT NULL,
    box TEXT CHECK (box IS NULL OR (json_valid(box) AND json_array_length(box) = 4)),
    width INTEGER CHECK (width > 0),
    height INTEGER CHECK (height > 0),
    stage REAL,
    timestamp TEXT,
    source_file TEXT NOT NULL,
    source_line INTEGER,
    PRIMARY KEY (project_id, filename)
) STRICT;

-- One row is one final image held against its original's pixels: how well the crop found by template matching fits.
-- box is NULL where the score was too low or two places fitted alike; reason then says which.
CREATE TABLE IF NOT EXISTS legacy_matches (
    project_id TEXT NOT NULL,
    filename TEXT NOT NULL,
    box TEXT CHECK (box IS NULL OR (json_valid(box) AND json_array_length(box) = 4)),
    score REAL,
    runner_up REAL,
    difference REAL,
    reason TEXT,
    matched_at TEXT NOT NULL,
    PRIMARY KEY (project_id, filename)
) STRICT;

-- One row is one image of a group in a compared folder, with the SHA-256 of its bytes: it is known again by any name.
CREATE TABLE IF NOT EXISTS legacy_images (
    project_id TEXT NOT NULL,
    filename TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    PRIMARY KEY (project_id, filename)
) STRICT;
