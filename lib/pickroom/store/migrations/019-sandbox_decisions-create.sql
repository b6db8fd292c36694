-- What the user decided in the automation's review and applied to the copy in the sandbox: a decision of the project for
-- training and figures, while its groups wait and its files stay. One row is one decision in ai_decisions that has no
-- decision_context, since the project's files were not moved; batch is that of the copy's journal.
CREATE TABLE sandbox_decisions (
    group_id TEXT PRIMARY KEY,
    batch INTEGER NOT NULL,
    source TEXT,
    versions TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(versions)),
    milliseconds INTEGER CHECK (milliseconds >= 0),
    decided_at TEXT NOT NULL
) STRICT;
