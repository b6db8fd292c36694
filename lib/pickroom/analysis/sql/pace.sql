-- One row is one project: how fast its groups were decided, over the sessions of `sessions.sql`.
WITH final AS (
    SELECT
        project_id, origin,
        count(*) AS sessions,
        sum(groups)::BIGINT AS groups,
        sum(images)::BIGINT AS images,
        sum(worked_s) AS worked_s,
        min(started_at) AS first_at,
        max(ended_at) AS last_at
    FROM sessions
    GROUP BY ALL
)

SELECT
    *,
    groups / nullif(worked_s, 0) * 3600 AS groups_per_hour,
    images / nullif(worked_s, 0) * 3600 AS images_per_hour
FROM final
ORDER BY project_id, origin
