-- One row is one kind of problem in one project: how often it occurs, and one example. `files` are those in the image
-- folders now; they are listed when this query runs.
WITH sidecars AS (
    SELECT *, regexp_replace(filename, '\.decision$', '') AS stem FROM files WHERE filename LIKE '%.decision'
),

waiting AS (
    SELECT *, regexp_replace(filename, '\.[^.]*$', '') AS stem
    FROM files
    WHERE is_image AND split_part(directory, '/', 1) IN ('crop', 'crop_auto')
),

-- named: how many images have the name, each in a folder of its own
counted AS (
    SELECT *, count(*) OVER (PARTITION BY project_id, filename) AS named FROM images
),

found AS (
    SELECT f.project_id, 'image without its sidecar' AS what, f.directory || '/' || f.filename AS example
    FROM waiting AS f
    ANTI JOIN sidecars AS s ON s.project_id = f.project_id AND s.directory = f.directory AND s.stem = f.stem
    UNION ALL
    SELECT s.project_id, 'sidecar without its image', s.directory || '/' || s.filename
    FROM sidecars AS s
    ANTI JOIN waiting AS f ON s.project_id = f.project_id AND s.directory = f.directory AND s.stem = f.stem
    UNION ALL
    SELECT f.project_id, 'image that no scan has met', f.directory || '/' || f.filename
    FROM files AS f
    ANTI JOIN images AS i ON i.project_id = f.project_id AND i.filename = f.filename
    -- what the program put there itself, as a crop that was taken back, is known to it
    ANTI JOIN operations AS o ON o.project_id = f.project_id AND o.destination = f.directory || '/' || f.filename
    WHERE f.is_image
    UNION ALL
    SELECT i.project_id, 'image that is nowhere', i.path
    FROM counted AS i
    JOIN listed AS l USING (project_id)
    ANTI JOIN files AS f ON f.project_id = i.project_id AND f.filename = i.filename
        AND (i.named = 1 OR ltrim(f.directory || '/' || f.filename, '/') = i.path)
    WHERE i.sha256 IS NOT NULL
    UNION ALL
    SELECT project_id, 'image without a vector', path FROM images WHERE sha256 IS NOT NULL AND vector IS NULL
    UNION ALL
    SELECT project_id, 'image that cannot be read', path FROM images WHERE sha256 IS NULL
    UNION ALL
    SELECT project_id, 'file operation not finished', coalesce(source, destination) FROM operations WHERE state = 'planned'
    UNION ALL
    SELECT project_id, 'unsound row, left out', row_of || ': ' || what FROM unsound_rows WHERE origin = 'project'
    UNION ALL
    SELECT project_id, 'decision without its context', group_id FROM decisions WHERE origin = 'project' AND input IS NULL
),

final AS (
    SELECT project_id, what, count(*) AS times, min(example) AS example FROM found GROUP BY ALL
)

SELECT * FROM final ORDER BY project_id, what
