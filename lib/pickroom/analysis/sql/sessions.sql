-- One row is one session: a run of groups decided by a person, none more than five minutes after the one before.
-- A group took the time since the one before it, the first of a session its look; two minutes or more are a pause: then its look
-- counts, and without one the group has no time. Time worked and pace are over the groups that have one (`timed`).
-- A group in less than a fifth of a second is nobody's look (a script, a demo's past, an import): such a session has no pace.
-- This is the one definition of pace; every other query takes it from here.
WITH moments AS (
    SELECT
        project_id, origin, group_id, images, decided_at, milliseconds,
        decided_at - lag(decided_at) OVER by_time AS gap
    FROM outcomes
    WHERE by_person AND decided_at IS NOT NULL
    WINDOW by_time AS (PARTITION BY project_id, origin ORDER BY decided_at, group_id)
),

numbered AS (
    SELECT
        *,
        CASE WHEN gap < INTERVAL 2 MINUTE THEN epoch(gap) ELSE look_s(milliseconds) END AS took_s,
        sum((coalesce(gap > INTERVAL 5 MINUTE, true))::INTEGER)
            OVER (PARTITION BY project_id, origin ORDER BY decided_at, group_id)::BIGINT AS session
    FROM moments
),

summed AS (
    SELECT
        project_id, origin, session,
        min(decided_at) AS started_at,
        max(decided_at) AS ended_at,
        count(*) AS groups,
        coalesce(sum(images), 0)::BIGINT AS images,
        coalesce(sum(took_s), 0) AS worked_s,
        count(took_s) AS timed,
        coalesce(sum(images) FILTER (took_s IS NOT NULL), 0)::BIGINT AS timed_images
    FROM numbered
    GROUP BY ALL
),

final AS (
    SELECT *, worked_s > 0 AND worked_s >= groups * 0.2 AS has_pace FROM summed
)

SELECT
    * EXCLUDE (has_pace),
    CASE WHEN has_pace THEN timed / worked_s * 3600 END AS groups_per_hour,
    CASE WHEN has_pace THEN timed_images / worked_s * 3600 END AS images_per_hour
FROM final
ORDER BY project_id, origin, session
