-- When and with what a picture was taken, as its file says: read once, and still known when the file has moved or gone.
-- One row is one content that a scan has read, with NULL for what it does not say; columns as in images/capture.py.
CREATE TABLE captures (
    sha256 TEXT PRIMARY KEY,
    captured_at TEXT,
    captured_by TEXT,
    utc_offset INTEGER,
    camera TEXT,
    serial TEXT,
    exposure_s REAL,
    aperture REAL,
    iso INTEGER,
    bracketed INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- kind: how a group was made: by stages in the names, by capture time (a burst), or by looks alone. It says more than
-- `method`, whose values are fixed; that stays for earlier versions ('similarity' for a burst).
ALTER TABLE groups ADD COLUMN kind TEXT CHECK (kind IN ('stage', 'burst', 'similar'));
UPDATE groups SET kind = CASE method WHEN 'stage' THEN 'stage' ELSE 'similar' END;
