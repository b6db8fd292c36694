-- The journal: a decision and the file plan it implies are committed together, files move after.
-- One row is one step. kind says which part of Pickroom planned it; steps of one unit (a group's id, or a file
-- name) happen together or not at all. Paths are relative to the project's root; content is the text of a written
-- or removed file, so that recovery needs nothing else; undoes names the step that this one takes back.
CREATE TABLE file_operations (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    batch INTEGER NOT NULL,
    kind TEXT NOT NULL,
    unit TEXT NOT NULL,
    op TEXT NOT NULL CHECK (op IN ('move', 'write', 'remove')),
    source TEXT,
    destination TEXT,
    sha256 TEXT NOT NULL,
    content TEXT,
    undoes INTEGER REFERENCES file_operations (id),
    state TEXT NOT NULL DEFAULT 'planned' CHECK (state IN ('planned', 'done', 'undone', 'failed')),
    error TEXT,
    planned_at TEXT NOT NULL,
    finished_at TEXT,
    CHECK ((source IS NOT NULL) = (op <> 'write') AND (destination IS NOT NULL) = (op <> 'remove')),
    CHECK ((content IS NOT NULL) = (op <> 'move'))
) STRICT;
CREATE INDEX file_operations_by_batch ON file_operations (batch);
CREATE INDEX file_operations_planned ON file_operations (id) WHERE state = 'planned';
