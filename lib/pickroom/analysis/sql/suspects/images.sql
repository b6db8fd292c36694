-- One row is one scanned image whose row may be unsound; see ai_decisions.sql.
SELECT number FROM rows
WHERE sha256 IS NOT NULL AND NOT coalesce(
    is_plain_name(filename) AND leads_inside(directory) AND width > 0 AND height > 0
    AND coalesce(is_plain_time(taken_at), taken_at IS NULL),
    false
)
