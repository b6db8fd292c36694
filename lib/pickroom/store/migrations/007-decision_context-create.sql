-- How a decision came about, apart from what it was: who decided, after how long, with which models.
-- One row is one finalised group, kept groups (key K) included, which have no row in ai_decisions.
-- crop_input tells a crop drawn by the person from one applied by the machine.
CREATE TABLE decision_context (
    group_id TEXT PRIMARY KEY REFERENCES groups (group_id),
    batch INTEGER NOT NULL,
    input TEXT NOT NULL CHECK (input IN ('review', 'blind', 'automation_review', 'auto', 'import', 'history')),
    outcome TEXT NOT NULL CHECK (outcome IN ('approve', 'crop', 'reject', 'keep')),
    source TEXT CHECK (source IN ('baseline', 'model', 'simulated')),
    versions TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(versions)),
    milliseconds INTEGER CHECK (milliseconds >= 0),
    crop_input TEXT CHECK (crop_input IN ('desk', 'apply_ai')),
    dropped_at TEXT,
    decided_at TEXT NOT NULL
) STRICT;
CREATE INDEX decision_context_by_batch ON decision_context (batch);
