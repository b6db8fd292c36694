-- One row is one decision whose crop was requested and is not yet made.
WITH final AS (
    SELECT
        project_id, group_id, picked, user_action, decided_at,
        CASE WHEN user_action = 'crop' THEN 'crop' ELSE 'crop_auto' END AS folder
    FROM decisions
    WHERE origin = 'project' AND final_crop_coords IS NULL AND dropped_at IS NULL
        AND (user_action = 'crop' OR (user_action = 'approve' AND ai_crop_accepted))
)

SELECT * FROM final ORDER BY project_id, folder, picked
