-- One row is one override: the user picked another image than the AI. The most confident recommendations come first.
WITH final AS (
    SELECT
        project_id, origin, group_id, decided_at, directory, images, stages, ai_selected_index, user_selected_index,
        ai_picked, picked, ai_confidence,
        coalesce(source, 'unknown') AS source,
        coalesce(versions['ranker'], 'unknown') AS ranker,
        anomaly
    FROM decisions
    WHERE by_person AND selection_match = false
)

SELECT * FROM final ORDER BY ai_confidence DESC NULLS LAST, decided_at DESC, group_id
