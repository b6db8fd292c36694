-- One row is one project: images in, images out. `picked` counts the images that finalised groups kept (one each, or
-- all of a group kept whole), `set_aside` those sent to delete_staging. `ungrouped` are images in no group: of these
-- `singles_kept` and `singles_set_aside` were moved or rated by hand, and nobody has looked at `unseen_singles`; files
-- that cannot be read are in none of the three.
WITH moved AS (
    SELECT project_id, unit AS path, sha256, destination LIKE 'delete_staging/%' AS aside
    FROM operations
    WHERE
        op = 'move' AND state = 'done' AND undoes IS NULL AND source = unit AND kind IN ('browse', 'sort', 'duplicates')
        AND split_part(unit, '/', 1) NOT IN
        ('selected', 'crop', 'crop_auto', 'crop_cropped', 'crop_originals', 'delete_staging')
),

met AS (
    SELECT project_id, NULL AS group_id, path, true AS legible, aside FROM moved
    UNION ALL
    SELECT
        i.project_id, i.group_id, ltrim(i.directory || '/' || i.filename, '/') AS path,
        i.sha256 IS NOT NULL OR i.reason LIKE 'duplicate name%' OR i.reason LIKE 'ambiguous stem%' AS legible,
        i.single = 'delete_staging' AS aside
    FROM images AS i
    ANTI JOIN moved AS m
        ON m.project_id = i.project_id AND m.path = ltrim(i.directory || '/' || i.filename, '/')
        AND coalesce(i.sha256 = m.sha256, true)
),

scanned AS (
    SELECT
        project_id,
        count(*) AS images,
        count(group_id) AS grouped,
        count(*) - count(group_id) AS ungrouped,
        count(*) FILTER (NOT aside) AS singles_kept,
        count(*) FILTER (aside) AS singles_set_aside,
        count(*) FILTER (group_id IS NULL AND aside IS NULL AND legible) AS unseen_singles
    FROM met
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
