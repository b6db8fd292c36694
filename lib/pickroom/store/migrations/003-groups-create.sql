-- A group keeps the id it was given when it was made, whatever later scans find.
-- One row is one group; sequence is its place in the queue, deferrals how often a batch ended with it skipped.
CREATE TABLE groups (
    group_id TEXT PRIMARY KEY,
    sequence INTEGER NOT NULL UNIQUE,
    directory TEXT NOT NULL,
    batch_number INTEGER NOT NULL,
    method TEXT NOT NULL CHECK (method IN ('stage', 'similarity')),
    deferrals INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX groups_by_queue ON groups (deferrals, sequence);

-- One row is one image's place in its group. A name belongs to at most one group of the project (DESIGN.md,
-- invariant 6: identity is project and file name).
CREATE TABLE group_members (
    group_id TEXT NOT NULL REFERENCES groups (group_id) ON DELETE CASCADE,
    position INTEGER NOT NULL CHECK (position BETWEEN 0 AND 3),
    directory TEXT NOT NULL,
    filename TEXT NOT NULL UNIQUE,
    PRIMARY KEY (group_id, position),
    FOREIGN KEY (directory, filename) REFERENCES images (directory, filename)
) STRICT;
