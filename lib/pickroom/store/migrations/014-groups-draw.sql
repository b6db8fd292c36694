-- The next groups of a review are found by index, not by reading every group: of a million images too, a deck opens at once.
-- lot is a group's place among all that are drawn at random (naming.lot); NULL in rows that were made before this.
-- conflict: stage and defect disagree, the pick being below the highest stage or an anomaly flagged.
ALTER TABLE groups ADD COLUMN lot BLOB;
CREATE INDEX groups_by_lot ON groups (deferrals, lot);
ALTER TABLE recommendations ADD COLUMN conflict INTEGER NOT NULL DEFAULT 0 CHECK (conflict IN (0, 1));
UPDATE recommendations SET conflict = anomaly_flags <> '[]' OR coalesce((
    SELECT max(i.stage) > max(CASE WHEN m.position = selected_index THEN i.stage END)
    FROM group_members AS m JOIN images AS i ON i.directory = m.directory AND i.filename = m.filename
    WHERE m.group_id = recommendations.group_id), 0);
CREATE INDEX recommendations_by_worth ON recommendations (confidence, coalesce(crop_confidence, 1.0));
CREATE INDEX recommendations_in_conflict ON recommendations (confidence, coalesce(crop_confidence, 1.0))
    WHERE conflict = 1;
