-- Recommendations are stored before the deck opens, so that no model runs while a person waits.
-- One row is the current recommendation for one group; source keeps a baseline from passing for a model.
CREATE TABLE recommendations (
    group_id TEXT PRIMARY KEY REFERENCES groups (group_id) ON DELETE CASCADE,
    source TEXT NOT NULL CHECK (source IN ('baseline', 'model', 'simulated')),
    selected_index INTEGER CHECK (selected_index BETWEEN 0 AND 3),
    crop_coords TEXT CHECK (crop_coords IS NULL OR (json_valid(crop_coords) AND json_array_length(crop_coords) = 4)),
    crop_needed INTEGER CHECK (crop_needed IN (0, 1)),
    confidence REAL CHECK (confidence BETWEEN 0 AND 1),
    crop_confidence REAL CHECK (crop_confidence BETWEEN 0 AND 1),
    reasons TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(reasons)),
    anomaly_flags TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(anomaly_flags)),
    versions TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(versions)),
    made_at TEXT NOT NULL,
    CHECK (source <> 'baseline' OR crop_coords IS NULL)
) STRICT;
