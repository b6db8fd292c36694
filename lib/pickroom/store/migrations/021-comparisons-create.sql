-- A burst is one group, however many images it has: places and indexes count beyond 3. SQLite cannot change a CHECK, so
-- the three tables are made anew. burst_id names a burst by its group.
ALTER TABLE groups ADD COLUMN burst_id TEXT AS (CASE kind WHEN 'burst' THEN group_id END) VIRTUAL;

ALTER TABLE group_members RENAME TO small_members;
CREATE TABLE group_members (
    group_id TEXT NOT NULL REFERENCES groups (group_id) ON DELETE CASCADE,
    position INTEGER NOT NULL CHECK (position >= 0),
    directory TEXT NOT NULL,
    filename TEXT NOT NULL UNIQUE,
    PRIMARY KEY (group_id, position),
    FOREIGN KEY (directory, filename) REFERENCES images (directory, filename)
) STRICT;
INSERT INTO group_members SELECT * FROM small_members;
DROP TABLE small_members;

-- ranking: of more than four images every place, the best last; [] where no model says it. keep_all: an exposure bracket.
ALTER TABLE recommendations RENAME TO small_recommendations;
CREATE TABLE recommendations (
    group_id TEXT PRIMARY KEY REFERENCES groups (group_id) ON DELETE CASCADE,
    source TEXT NOT NULL CHECK (source IN ('baseline', 'model', 'simulated')),
    selected_index INTEGER CHECK (selected_index >= 0),
    crop_coords TEXT CHECK (crop_coords IS NULL OR (json_valid(crop_coords) AND json_array_length(crop_coords) = 4)),
    crop_needed INTEGER CHECK (crop_needed IN (0, 1)),
    confidence REAL CHECK (confidence BETWEEN 0 AND 1),
    crop_confidence REAL CHECK (crop_confidence BETWEEN 0 AND 1),
    reasons TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(reasons)),
    anomaly_flags TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(anomaly_flags)),
    versions TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(versions)),
    made_at TEXT NOT NULL,
    conflict INTEGER NOT NULL DEFAULT 0 CHECK (conflict IN (0, 1)),
    ranking TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(ranking)),
    keep_all INTEGER NOT NULL DEFAULT 0 CHECK (keep_all IN (0, 1)),
    CHECK (source <> 'baseline' OR crop_coords IS NULL)
) STRICT;
INSERT INTO recommendations SELECT *, '[]', 0 FROM small_recommendations;
DROP TABLE small_recommendations;
CREATE INDEX recommendations_by_worth ON recommendations (confidence, coalesce(crop_confidence, 1.0));
CREATE INDEX recommendations_in_conflict ON recommendations (confidence, coalesce(crop_confidence, 1.0))
    WHERE conflict = 1;

-- selected_index: the place in the group of the image that is picked.
ALTER TABLE review_state RENAME TO small_review_state;
CREATE TABLE review_state (
    group_id TEXT PRIMARY KEY REFERENCES groups (group_id) ON DELETE CASCADE,
    action TEXT NOT NULL CHECK (action IN ('undecided', 'approve', 'crop', 'reject', 'keep', 'skip')),
    selected_index INTEGER CHECK (selected_index >= 0),
    overlay INTEGER CHECK (overlay IN (0, 1)),
    input TEXT NOT NULL DEFAULT 'review' CHECK (input IN ('review', 'blind', 'automation_review')),
    shown TEXT CHECK (shown IS NULL OR json_valid(shown)),
    milliseconds INTEGER NOT NULL DEFAULT 0 CHECK (milliseconds >= 0),
    held_reason TEXT,
    updated_at TEXT NOT NULL,
    CHECK (overlay IS NOT NULL OR action = 'undecided')
) STRICT;
INSERT INTO review_state SELECT * FROM small_review_state;
DROP TABLE small_review_state;

-- The rounds of a burst before the last, which is its row in ai_decisions. Saved with each key, as review_state is.
-- One row is one round: the two to four file names on screen, in the group's order, and which of them went on.
CREATE TABLE comparisons (
    group_id TEXT NOT NULL REFERENCES groups (group_id) ON DELETE CASCADE,
    round INTEGER NOT NULL CHECK (round > 0),
    images TEXT NOT NULL CHECK (json_valid(images) AND json_array_length(images) BETWEEN 2 AND 4),
    chosen INTEGER NOT NULL CHECK (chosen >= 0 AND chosen < json_array_length(images)),
    made_at TEXT NOT NULL,
    PRIMARY KEY (group_id, round)
) STRICT;

-- One row is one image that is kept in addition to the pick of its group (kept 1), or has stars: these count where the
-- image is kept at all. Both are the user's so far, until the group is finalised.
CREATE TABLE kept_images (
    group_id TEXT NOT NULL REFERENCES groups (group_id) ON DELETE CASCADE,
    filename TEXT NOT NULL,
    kept INTEGER NOT NULL CHECK (kept IN (0, 1)),
    stars INTEGER CHECK (stars BETWEEN 1 AND 5),
    PRIMARY KEY (group_id, filename)
) STRICT;
