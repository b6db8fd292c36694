-- A step can replace a small file, an XMP sidecar: content is what is written, content_before what was there, so that undo
-- restores it byte for byte. SQLite cannot change a CHECK, so the table is made anew.
ALTER TABLE file_operations RENAME TO moving_operations;
CREATE TABLE file_operations (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    batch INTEGER NOT NULL,
    kind TEXT NOT NULL,
    unit TEXT NOT NULL,
    op TEXT NOT NULL CHECK (op IN ('move', 'write', 'remove', 'replace')),
    source TEXT,
    destination TEXT,
    sha256 TEXT NOT NULL,
    content TEXT,
    undoes INTEGER REFERENCES file_operations (id),
    state TEXT NOT NULL DEFAULT 'planned' CHECK (state IN ('planned', 'done', 'undone', 'failed')),
    error TEXT,
    planned_at TEXT NOT NULL,
    finished_at TEXT,
    content_before TEXT,
    CHECK ((source IS NULL) = (op IN ('write', 'replace')) AND (destination IS NOT NULL) = (op <> 'remove')),
    CHECK ((content IS NOT NULL) = (op <> 'move') AND (content_before IS NOT NULL) = (op = 'replace'))
) STRICT;
INSERT INTO file_operations SELECT *, NULL FROM moving_operations;
DROP TABLE moving_operations;
CREATE INDEX file_operations_by_batch ON file_operations (batch);
CREATE INDEX file_operations_planned ON file_operations (id) WHERE state = 'planned';
