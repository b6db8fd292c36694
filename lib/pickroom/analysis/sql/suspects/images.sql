-- One row is one scanned image whose row may be unsound; see ai_decisions.sql.
SELECT file, number FROM files
WHERE sha256 IS NOT NULL AND NOT coalesce(
    is_plain_name(filename) AND leads_inside(directory) AND width > 0 AND height > 0
    AND coalesce(regexp_full_match(taken_at, '\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ?')
        AND taken_at >= '0001' AND TRY_CAST(taken_at AS TIMESTAMP) IS NOT NULL, taken_at IS NULL),
    false
)
