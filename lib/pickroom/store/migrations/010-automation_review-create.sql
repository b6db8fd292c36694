-- The automation's review has its own choices: a key there (R: do nothing) must never be finalised by the other deck.
-- One row is what is chosen so far for one group. shown is the recommendation as the person saw it; overlay is NULL
-- while the group was only looked at; input is 'blind' where the recommendation was hidden until the choice was made.
CREATE TABLE automation_review (
    group_id TEXT PRIMARY KEY REFERENCES groups (group_id) ON DELETE CASCADE,
    action TEXT NOT NULL CHECK (action IN ('undecided', 'approve', 'crop', 'reject', 'keep', 'skip')),
    selected_index INTEGER CHECK (selected_index BETWEEN 0 AND 3),
    overlay INTEGER CHECK (overlay IN (0, 1)),
    input TEXT NOT NULL DEFAULT 'automation_review' CHECK (input IN ('automation_review', 'blind')),
    shown TEXT CHECK (shown IS NULL OR json_valid(shown)),
    milliseconds INTEGER NOT NULL DEFAULT 0 CHECK (milliseconds >= 0),
    updated_at TEXT NOT NULL,
    CHECK (overlay IS NOT NULL OR action = 'undecided')
) STRICT;

-- One row is one key that changed something, as in review_log: undo walks it backwards, also after a restart.
CREATE TABLE automation_log (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL,
    from_group TEXT NOT NULL,
    to_group TEXT NOT NULL,
    before TEXT NOT NULL CHECK (json_valid(before)),
    after TEXT NOT NULL CHECK (json_valid(after)),
    undone INTEGER NOT NULL DEFAULT 0 CHECK (undone IN (0, 1))
) STRICT;

-- One row at the most: the group last looked at.
CREATE TABLE automation_cursor (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    group_id TEXT NOT NULL
) STRICT;
