-- An image is its folder and its name: two cards may both hold IMG_0001.JPG. SQLite cannot change a key, so the two tables
-- that had the name alone in theirs are made anew.
ALTER TABLE group_members RENAME TO named_members;
CREATE TABLE group_members (
    group_id TEXT NOT NULL REFERENCES groups (group_id) ON DELETE CASCADE,
    position INTEGER NOT NULL CHECK (position >= 0),
    directory TEXT NOT NULL,
    filename TEXT NOT NULL,
    PRIMARY KEY (group_id, position),
    UNIQUE (directory, filename),
    FOREIGN KEY (directory, filename) REFERENCES images (directory, filename)
) STRICT;
INSERT INTO group_members SELECT * FROM named_members;
DROP TABLE named_members;

-- directory: the folder below Pickroom's own that the image waited in, '' in a flat project (crop/DCIM/100: DCIM/100).
DROP VIEW ai_performance;
DROP VIEW final_crops;
ALTER TABLE crops RENAME TO named_crops;
CREATE TABLE crops (
    batch INTEGER NOT NULL,
    filename TEXT NOT NULL,
    group_id TEXT,
    box TEXT NOT NULL CHECK (json_valid(box) AND json_array_length(box) = 4),
    input TEXT NOT NULL CHECK (input IN ('desk', 'apply_ai')),
    sha256 TEXT NOT NULL,
    made_at TEXT NOT NULL,
    box_source TEXT NOT NULL DEFAULT 'drawn' CHECK (box_source IN ('drawn', 'ai', 'ai_all', 'default')),
    directory TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (batch, directory, filename)
) STRICT;
INSERT INTO crops (batch, filename, group_id, box, input, sha256, made_at, box_source)
SELECT batch, filename, group_id, box, input, sha256, made_at, box_source FROM named_crops;
DROP TABLE named_crops;
CREATE INDEX crops_by_sha256 ON crops (sha256);
CREATE INDEX crops_by_group ON crops (group_id);

-- One row is one group whose crop was made: the crop that counts is the latest.
CREATE VIEW final_crops AS
SELECT group_id, filename, box, box_source, max(batch) AS batch, directory
FROM crops
WHERE group_id IS NOT NULL
GROUP BY group_id;

-- One row is one project: how often the AI's pick and crop were the person's. NULL flags count for nothing.
CREATE VIEW ai_performance AS
SELECT
    d.project_id,
    count(*) AS total_decisions,
    coalesce(sum(d.selection_match), 0) AS correct_selections,
    coalesce(sum(d.crop_match) FILTER (WHERE counted), 0) AS correct_crops,
    avg(d.selection_match) AS selection_accuracy,
    avg(d.crop_match) FILTER (WHERE counted) AS crop_accuracy
FROM (
    SELECT
        d.*,
        d.selection_match = 1
            AND c.crop_input IS NOT 'apply_ai'
            AND coalesce(k.box_source, 'drawn') IN ('drawn', 'ai') AS counted
    FROM ai_decisions AS d
    LEFT JOIN decision_context AS c USING (group_id)
    LEFT JOIN final_crops AS k USING (group_id)
    WHERE c.input IS NOT 'auto'
) AS d
GROUP BY d.project_id;
