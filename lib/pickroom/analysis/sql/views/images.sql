-- One row is one image file found by a scan. `path` is where it is now, relative to the root; `reason` says why it can
-- be in no group. The view adds its vectors.
WITH moved AS (
    SELECT
        owner, regexp_extract(destination, '[^/]*$') AS filename, sha256, arg_max(destination, id) AS path
    FROM source.file_operations
    WHERE op = 'move' AND state = 'done'
    GROUP BY ALL
),

-- copies of one content under one name in several folders: each went where the end of its path says
copied AS (
    SELECT owner, filename, sha256 FROM source.images
    WHERE sha256 IS NOT NULL GROUP BY ALL HAVING count(*) > 1
),

apart AS (
    SELECT i.owner, i.directory, i.filename, arg_max(f.destination, f.id) AS path
    FROM copied AS c
    JOIN source.images AS i ON i.owner = c.owner AND i.filename = c.filename AND i.sha256 = c.sha256
    JOIN source.file_operations AS f ON f.owner = i.owner AND f.sha256 = i.sha256 AND f.op = 'move' AND f.state = 'done'
    WHERE ('/' || f.destination).ends_with(concat_ws('/', '', nullif(i.directory, ''), i.filename))
        AND (i.directory <> '' OR len(string_split(f.destination, '/')) <= 2)
    GROUP BY ALL
),

final AS (
    SELECT
        i.owner AS project_id, i.directory, i.filename, i.width, i.height, i.stage,
        TRY_CAST(i.taken_at AS TIMESTAMP) AS taken_at,
        -- the camera's clock; where the file says nothing, when it was last written, which groups nothing
        coalesce(TRY_CAST(p.captured_at AS TIMESTAMP), make_timestamp(i.mtime_ns // 1000)) AS captured_at,
        CASE WHEN TRY_CAST(p.captured_at AS TIMESTAMP) IS NULL THEN 'file' ELSE p.captured_by END AS captured_by,
        p.camera, p.serial, p.exposure_s, p.aperture, p.iso,
        i.sha256, i.file_size, i.mtime_ns, i.reason, m.group_id, m.position,
        -- the user's, so far: kept in addition to the pick of its group, and stars
        coalesce(k.kept = 1, false) AS kept_also, k.stars,
        -- of an image in no group that was kept or set aside where it lies: selected, or delete_staging
        s.folder AS single,
        coalesce(
            a.path,
            CASE WHEN d.sha256 IS NULL THEN o.path END,
            CASE WHEN i.directory = '' THEN i.filename ELSE i.directory || '/' || i.filename END
        ) AS path
    FROM source.images AS i
    LEFT JOIN source.group_members AS m ON m.owner = i.owner AND m.directory = i.directory AND m.filename = i.filename
    LEFT JOIN source.kept_images AS k ON k.owner = i.owner AND k.group_id = m.group_id AND k.filename = i.filename
    LEFT JOIN source.image_marks AS s
        ON s.owner = i.owner AND s.directory = i.directory AND s.filename = i.filename AND s.room = 'browse'
        AND s.batch IS NOT NULL AND i.reason IS NOT NULL
    LEFT JOIN source.captures AS p ON p.owner = i.owner AND p.sha256 = i.sha256
    LEFT JOIN copied AS d ON d.owner = i.owner AND d.filename = i.filename AND d.sha256 = i.sha256
    LEFT JOIN apart AS a ON a.owner = i.owner AND a.directory = i.directory AND a.filename = i.filename
    LEFT JOIN moved AS o ON o.owner = i.owner AND o.filename = i.filename AND o.sha256 = i.sha256
)

SELECT * FROM final ORDER BY project_id, directory, filename
