-- One row is one project: how fast its groups were decided, over the sessions of `sessions.sql`; the pace counts only
-- sessions that have one.
WITH final AS (
    SELECT
        project_id, origin,
        count(*) AS sessions,
        sum(groups)::BIGINT AS groups,
        sum(images)::BIGINT AS images,
        sum(worked_s) AS worked_s,
        sum(timed) FILTER (groups_per_hour IS NOT NULL) / nullif(sum(worked_s) FILTER (groups_per_hour IS NOT NULL), 0)
            * 3600 AS groups_per_hour,
        sum(timed_images) FILTER (images_per_hour IS NOT NULL) / nullif(sum(worked_s) FILTER (images_per_hour IS NOT NULL), 0)
            * 3600 AS images_per_hour,
        min(started_at) AS first_at,
        max(ended_at) AS last_at
    FROM sessions
    GROUP BY ALL
)

SELECT * FROM final
ORDER BY project_id, origin
