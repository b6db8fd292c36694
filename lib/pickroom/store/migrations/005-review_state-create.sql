-- Every key is saved at once, so that a killed kernel, a reload or a second day resumes where the person was.
-- One row is what is chosen so far for one group. shown is the recommendation as the person saw it: finalise
-- records that, whatever a model says meanwhile. overlay is NULL while the group was only looked at. held_reason says why a finalise had to leave the group.
CREATE TABLE review_state (
    group_id TEXT PRIMARY KEY REFERENCES groups (group_id) ON DELETE CASCADE,
    action TEXT NOT NULL CHECK (action IN ('undecided', 'approve', 'crop', 'reject', 'keep', 'skip')),
    selected_index INTEGER CHECK (selected_index BETWEEN 0 AND 3),
    overlay INTEGER CHECK (overlay IN (0, 1)),
    input TEXT NOT NULL DEFAULT 'review' CHECK (input IN ('review', 'blind', 'automation_review')),
    shown TEXT CHECK (shown IS NULL OR json_valid(shown)),
    milliseconds INTEGER NOT NULL DEFAULT 0 CHECK (milliseconds >= 0),
    held_reason TEXT,
    updated_at TEXT NOT NULL,
    CHECK (overlay IS NOT NULL OR action = 'undecided')
) STRICT;

-- One row is one key that changed something; undo walks it backwards, also after a restart. undone rows are
-- what redo brings back. Positions are group ids, since a later window may show another slice of the queue.
CREATE TABLE review_log (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL,
    from_group TEXT NOT NULL,
    to_group TEXT NOT NULL,
    before TEXT NOT NULL CHECK (json_valid(before)),
    after TEXT NOT NULL CHECK (json_valid(after)),
    undone INTEGER NOT NULL DEFAULT 0 CHECK (undone IN (0, 1))
) STRICT;

-- One row at the most: the group last looked at.
CREATE TABLE review_cursor (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    group_id TEXT NOT NULL
) STRICT;
