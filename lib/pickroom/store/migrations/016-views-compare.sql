-- crop_match compares the two boxes wherever both are there, as the system before did: a box proposed for another image
-- than the one cropped is a miss, not unknown. Stored NULLs are filled in beside these statements: see
-- store/decisions.py, compare_boxes. The accuracy of crops is still that of the AI's own image, and of the user's boxes.
DROP VIEW ai_performance;

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
