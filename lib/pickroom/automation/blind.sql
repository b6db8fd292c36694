-- What risk control calibrates on. One row is one group that the user decided blind: with the recommendation as it
-- stood (shown), and what was decided; the columns of d are NULL for a kept group, which has no decision row.
SELECT
    c.group_id,
    c.outcome,
    r.shown,
    d.images,
    d.user_selected_index,
    d.user_action,
    d.crop_match,
    c.crop_input IS NOT 'apply_ai' AND coalesce(k.box_source, 'drawn') IN ('drawn', 'ai') AS own_box
FROM decision_context AS c
JOIN review_state AS r USING (group_id)
LEFT JOIN ai_decisions AS d USING (group_id)
LEFT JOIN final_crops AS k USING (group_id)
WHERE c.input = 'blind' AND r.shown IS NOT NULL
    -- a burst of more than four is never approved unseen
    AND (SELECT count(*) FROM group_members AS m WHERE m.group_id = c.group_id) <= 4
ORDER BY c.decided_at, c.group_id
