-- One row is one project: how often the AI's pick and crop were the user's, as the database's own view
-- `ai_performance` counts it, with the 95 % interval of each share. A crop counts where the AI's image is the one cropped,
-- and the box is the user's.
WITH counted AS (
    SELECT
        project_id, origin,
        count(*) AS total_decisions,
        count(selection_match) AS selections,
        count(*) FILTER (selection_match) AS correct_selections,
        count(crop_match) FILTER (selection_match AND crop_by_person) AS crops,
        count(*) FILTER (crop_match AND selection_match AND crop_by_person) AS correct_crops
    FROM decisions
    WHERE by_person
    GROUP BY ALL
),

final AS (
    SELECT
        *,
        correct_selections / nullif(selections, 0) AS selection_accuracy,
        correct_crops / nullif(crops, 0) AS crop_accuracy,
        wilson_low(correct_selections, selections) AS selection_low,
        wilson_high(correct_selections, selections) AS selection_high
    FROM counted
)

SELECT * FROM final ORDER BY project_id, origin
