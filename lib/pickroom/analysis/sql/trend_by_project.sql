-- One row is one project and day: groups decided by the user, and how often the AI's pick was theirs.
WITH final AS (
    SELECT
        project_id, origin,
        date_trunc('day', decided_at)::DATE AS day,
        count(*) AS decisions,
        count(selection_match) AS selections,
        count(*) FILTER (selection_match) AS correct_selections,
        count(*) FILTER (selection_match) / nullif(count(selection_match), 0) AS selection_accuracy
    FROM decisions
    WHERE by_person AND decided_at IS NOT NULL
    GROUP BY ALL
)

SELECT * FROM final ORDER BY project_id, origin, day
