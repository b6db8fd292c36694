-- One row is one decision of a project whose crop was requested and is not yet made, as in the database's view of that
-- name.
SELECT d.* EXCLUDE (origin)
FROM ai_decisions AS d
SEMI JOIN (SELECT group_id FROM decisions WHERE dropped_at IS NULL AND origin = 'project') AS o USING (group_id)
WHERE (d.user_action = 'crop' OR (d.user_action = 'approve' AND d.ai_crop_accepted = 1))
    AND d.final_crop_coords IS NULL AND d.origin = 'project'
