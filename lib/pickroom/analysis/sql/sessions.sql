-- One row is one session: a run of groups decided by a person, none more than five minutes after the one before.
-- Time worked is from the first decision to the last, and the look that led to the first (five minutes at the most).
-- A group in less than a fifth of a second is nobody's look (a script, a demo's past, an import): such a session has no pace.
-- This is the one definition of pace; every other query takes it from here.
WITH moments AS (
    SELECT
        project_id, origin, group_id, images, decided_at,
        least(coalesce(milliseconds, 0), 300000) / 1000 AS look_s,
        coalesce(decided_at - lag(decided_at) OVER by_time > INTERVAL 5 MINUTE, true) AS starts
    FROM outcomes
    WHERE by_person AND decided_at IS NOT NULL
    WINDOW by_time AS (PARTITION BY project_id, origin ORDER BY decided_at, group_id)
),

numbered AS (
    SELECT *, sum(starts::INTEGER) OVER (PARTITION BY project_id, origin ORDER BY decided_at, group_id)::BIGINT AS session
    FROM moments
),

final AS (
    SELECT
        project_id, origin, session,
        min(decided_at) AS started_at,
        max(decided_at) AS ended_at,
        count(*) AS groups,
        coalesce(sum(images), 0)::BIGINT AS images,
        epoch(max(decided_at) - min(decided_at)) + arg_min(look_s, (decided_at, group_id)) AS worked_s
    FROM numbered
    GROUP BY ALL
)

SELECT
    *,
    CASE WHEN worked_s >= groups * 0.2 THEN groups / nullif(worked_s, 0) * 3600 END AS groups_per_hour,
    CASE WHEN worked_s >= groups * 0.2 THEN images / nullif(worked_s, 0) * 3600 END AS images_per_hour
FROM final
ORDER BY project_id, origin, session
