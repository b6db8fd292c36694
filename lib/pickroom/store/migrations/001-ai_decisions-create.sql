-- The one truth: each decision with what the AI had recommended. Other programs rely on these columns to the letter.
-- One row is one decided group. typeof() is checked because a single text in an INTEGER column fails a whole
-- analysis query later; the sizes because an earlier system stored 7,189 rows of 0x0 without a word.
CREATE TABLE ai_decisions (
    group_id TEXT PRIMARY KEY,
    timestamp TEXT NOT NULL,
    project_id TEXT NOT NULL,
    directory TEXT,
    batch_number INTEGER CHECK (typeof(batch_number) IN ('integer', 'null')),
    images TEXT NOT NULL CHECK (json_valid(images) AND json_type(images) = 'array'
        AND json_array_length(images) BETWEEN 2 AND 4),
    ai_selected_index INTEGER CHECK (ai_selected_index IS NULL OR (typeof(ai_selected_index) = 'integer'
        AND ai_selected_index BETWEEN 0 AND 3)),
    ai_crop_coords TEXT CHECK (ai_crop_coords IS NULL OR (json_valid(ai_crop_coords)
        AND json_type(ai_crop_coords) = 'array' AND json_array_length(ai_crop_coords) = 4)),
    ai_confidence REAL CHECK (ai_confidence IS NULL OR (typeof(ai_confidence) IN ('real', 'integer')
        AND ai_confidence BETWEEN 0 AND 1)),
    user_selected_index INTEGER NOT NULL CHECK (typeof(user_selected_index) = 'integer'
        AND user_selected_index BETWEEN 0 AND 3),
    user_action TEXT NOT NULL CHECK (user_action IN ('approve', 'crop', 'reject')),
    ai_crop_accepted BOOLEAN CHECK (ai_crop_accepted IN (0, 1)),
    final_crop_coords TEXT CHECK (final_crop_coords IS NULL OR (json_valid(final_crop_coords)
        AND json_type(final_crop_coords) = 'array' AND json_array_length(final_crop_coords) = 4)),
    crop_timestamp TEXT,
    image_width INTEGER NOT NULL CHECK (typeof(image_width) = 'integer' AND image_width > 0),
    image_height INTEGER NOT NULL CHECK (typeof(image_height) = 'integer' AND image_height > 0),
    selection_match BOOLEAN CHECK (selection_match IN (0, 1)),
    crop_match BOOLEAN CHECK (crop_match IN (0, 1)),
    CHECK (ai_selected_index IS NULL OR ai_selected_index < json_array_length(images)),
    CHECK (user_selected_index < json_array_length(images))
);
CREATE INDEX idx_project_id ON ai_decisions (project_id);
CREATE INDEX idx_timestamp ON ai_decisions (timestamp);
CREATE INDEX idx_selection_match ON ai_decisions (selection_match);
CREATE INDEX idx_crop_match ON ai_decisions (crop_match);
CREATE INDEX idx_user_action ON ai_decisions (user_action);
CREATE INDEX idx_batch_number ON ai_decisions (batch_number);
