-- One row is one decision: how often the AI's pick was the user's over the last 100 decisions up to it (fewer at the
-- beginning: see `window_size`).
WITH final AS (
    SELECT
        project_id, origin, group_id, decided_at, selection_match,
        coalesce(source, 'unknown') AS source,
        coalesce(versions['ranker'], 'unknown') AS ranker,
        row_number() OVER by_time AS place,
        count(*) OVER last_100 AS window_size,
        avg(selection_match::INTEGER) OVER last_100 AS selection_accuracy
    FROM decisions
    WHERE by_person AND selection_match IS NOT NULL
    WINDOW
        by_time AS (PARTITION BY project_id, origin ORDER BY decided_at, group_id),
        last_100 AS (
            PARTITION BY project_id, origin ORDER BY decided_at, group_id ROWS BETWEEN 99 PRECEDING AND CURRENT ROW
        )
)

SELECT * FROM final ORDER BY project_id, origin, place
