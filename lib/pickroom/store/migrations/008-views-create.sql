-- The questions every program asks. What the machine decided by itself never counts as its accuracy (DESIGN.md,
-- invariant 11); automatic_decisions shows it apart.

-- One row is one project: how often the AI's pick and crop were the person's. NULL flags count for nothing.
CREATE VIEW ai_performance AS
SELECT
    d.project_id,
    count(*) AS total_decisions,
    coalesce(sum(d.selection_match), 0) AS correct_selections,
    coalesce(sum(CASE WHEN c.crop_input IS NOT 'apply_ai' THEN d.crop_match END), 0) AS correct_crops,
    avg(d.selection_match) AS selection_accuracy,
    avg(CASE WHEN c.crop_input IS NOT 'apply_ai' THEN d.crop_match END) AS crop_accuracy
FROM ai_decisions AS d
LEFT JOIN decision_context AS c USING (group_id)
WHERE c.input IS NOT 'auto'
GROUP BY d.project_id;

-- One row is one decision whose crop was asked for and is not yet made.
CREATE VIEW incomplete_crops AS
SELECT d.*
FROM ai_decisions AS d
LEFT JOIN decision_context AS c USING (group_id)
WHERE (d.user_action = 'crop' OR (d.user_action = 'approve' AND d.ai_crop_accepted = 1))
    AND d.final_crop_coords IS NULL
    AND c.dropped_at IS NULL;

-- One row is one decision in which the person picked another image than the AI.
CREATE VIEW ai_mistakes AS
SELECT * FROM ai_decisions WHERE selection_match = 0;

-- One row is one decision, or one crop, that the machine made without a person.
CREATE VIEW automatic_decisions AS
SELECT d.*, c.input, c.crop_input
FROM ai_decisions AS d
JOIN decision_context AS c USING (group_id)
WHERE c.input = 'auto' OR c.crop_input = 'apply_ai';
