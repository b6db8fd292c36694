-- One row is one project: images in, images out. `picked` counts the images that finalised groups sent on (one each, or
-- all of a group kept whole), `set_aside` those sent to delete_staging.
WITH scanned AS (
    SELECT
        project_id,
        count(*) AS images,
        count(group_id) AS grouped,
        count(*) - count(group_id) AS ungrouped
    FROM images
    GROUP BY project_id
),

queued AS (
    SELECT
        project_id,
        count(*) AS groups,
        count(outcome) AS decided,
        count(*) - count(outcome) AS undecided
    FROM groups
    GROUP BY project_id
),

sent AS (
    SELECT
        project_id,
        coalesce(sum(CASE outcome WHEN 'keep' THEN images WHEN 'reject' THEN 0 ELSE 1 + kept_also END), 0)::BIGINT AS picked,
        coalesce(sum(CASE outcome WHEN 'keep' THEN 0 WHEN 'reject' THEN images ELSE images - 1 - kept_also END), 0)::BIGINT AS set_aside
    FROM outcomes
    WHERE origin = 'project'
    GROUP BY project_id
),

dropped AS (
    SELECT project_id, count(dropped_at) AS dropped FROM decisions WHERE origin = 'project' GROUP BY project_id
),

cropped AS (
    SELECT project_id, count(*) AS crops_made FROM crops WHERE origin = 'project' AND counts GROUP BY project_id
),

final AS (
    SELECT
        s.*,
        coalesce(q.groups, 0) AS groups, coalesce(q.decided, 0) AS decided, coalesce(q.undecided, 0) AS undecided,
        coalesce(o.picked, 0) - coalesce(d.dropped, 0) AS picked,
        coalesce(o.set_aside, 0) + coalesce(d.dropped, 0) AS set_aside,
        coalesce(c.crops_made, 0) AS crops_made
    FROM scanned AS s
    LEFT JOIN queued AS q USING (project_id)
    LEFT JOIN sent AS o USING (project_id)
    LEFT JOIN dropped AS d USING (project_id)
    LEFT JOIN cropped AS c USING (project_id)
)

SELECT *, picked / nullif(picked + set_aside, 0) AS picked_share FROM final ORDER BY project_id
