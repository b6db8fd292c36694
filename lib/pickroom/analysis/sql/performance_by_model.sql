-- One row is one version of a model, baseline or simulation that recommended, in one project: whether agreement gets
-- better. `source` separates baselines and simulations from models.
WITH counted AS (
    SELECT
        project_id, origin,
        coalesce(source, 'unknown') AS source,
        coalesce(versions['ranker'], 'unknown') AS ranker,
        min(decided_at) AS first_at,
        max(decided_at) AS last_at,
        count(*) AS decisions,
        count(ai_selected_index) AS recommended,
        count(selection_match) AS selections,
        count(*) FILTER (selection_match) AS correct_selections
    FROM decisions
    WHERE by_person
    GROUP BY ALL
),

final AS (
    SELECT
        *,
        correct_selections / nullif(selections, 0) AS selection_accuracy,
        wilson_low(correct_selections, selections) AS selection_low,
        wilson_high(correct_selections, selections) AS selection_high
    FROM counted
)

SELECT * FROM final ORDER BY project_id, origin, first_at, source, ranker
