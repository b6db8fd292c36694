-- One row is one session: a run of groups decided by the user, none more than five minutes after the one before. The
-- time of a group is the time since the one before it; for the first of a session, and after a pause of two minutes or
-- more, it is the time that the group was shown, and without that it is unknown. Time worked and pace are over the
-- groups with a known time (`timed`). Groups decided in less than a fifth of a second were decided by a script, a demo
-- or an import: such a session has no pace. All other queries take the pace from here.
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
