-- One row is one stage that the AI picked, in one project; stage is NULL where the name has none.
WITH final AS (
    SELECT
        project_id, origin,
        ai_stage AS stage,
        count(selection_match) AS selections,
        count(*) FILTER (selection_match) AS correct_selections,
        count(*) FILTER (selection_match) / nullif(count(selection_match), 0) AS selection_accuracy
    FROM decisions
    WHERE by_person AND ai_selected_index IS NOT NULL AND selection_match IS NOT NULL
    GROUP BY ALL
)

SELECT * FROM final ORDER BY project_id, origin, stage NULLS LAST
