-- What was cropped and to which box, so that a crop opened again is known by its hash and its new box composed
-- back into the original's frame: an earlier system logged 77 boxes in the cropped frame.
-- One row is one crop file written; group_id is NULL for an image that came without a sidecar.
CREATE TABLE crops (
    batch INTEGER NOT NULL,
    filename TEXT NOT NULL,
    group_id TEXT,
    box TEXT NOT NULL CHECK (json_valid(box) AND json_array_length(box) = 4),
    input TEXT NOT NULL CHECK (input IN ('desk', 'apply_ai')),
    sha256 TEXT NOT NULL,
    made_at TEXT NOT NULL,
    PRIMARY KEY (batch, filename)
) STRICT;
CREATE INDEX crops_by_sha256 ON crops (sha256);
CREATE INDEX crops_by_group ON crops (group_id);
