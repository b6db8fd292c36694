-- One row is one image file that a scan met. `path` is where it is now, relative to the root; `reason` says why it can
-- be in no group. The view adds its vectors.
WITH moved AS (
    SELECT
        owner, regexp_extract(destination, '[^/]*$') AS filename, sha256, arg_max(destination, id) AS path
    FROM source.file_operations
    WHERE op = 'move' AND state = 'done'
    GROUP BY ALL
),

final AS (
    SELECT
        i.owner AS project_id, i.directory, i.filename, i.width, i.height, i.stage,
        TRY_CAST(i.taken_at AS TIMESTAMP) AS taken_at,
        TRY_CAST(p.captured_at AS TIMESTAMP) AS captured_at, p.captured_by, p.camera, p.serial,
        p.exposure_s, p.aperture, p.iso,
        i.sha256, i.file_size, i.mtime_ns, i.reason, m.group_id, m.position,
        -- the user's, so far: kept in addition to the pick of its group, and stars
        coalesce(k.kept = 1, false) AS kept_also, k.stars,
        -- of an image in no group that was kept or set aside where it lies: selected, or delete_staging
        s.folder AS single,
        coalesce(o.path, CASE WHEN i.directory = '' THEN i.filename ELSE i.directory || '/' || i.filename END) AS path
    FROM source.images AS i
    LEFT JOIN source.group_members AS m ON m.owner = i.owner AND m.directory = i.directory AND m.filename = i.filename
    LEFT JOIN source.kept_images AS k ON k.owner = i.owner AND k.group_id = m.group_id AND k.filename = i.filename
    LEFT JOIN source.image_marks AS s
        ON s.owner = i.owner AND s.directory = i.directory AND s.filename = i.filename AND s.room = 'browse'
        AND s.batch IS NOT NULL AND i.reason IS NOT NULL
    LEFT JOIN source.captures AS p ON p.owner = i.owner AND p.sha256 = i.sha256
    LEFT JOIN moved AS o ON o.owner = i.owner AND o.filename = i.filename AND o.sha256 = i.sha256
)

SELECT * FROM final ORDER BY project_id, directory, filename
