-- One row is one imported crop that may be unsound; see ai_decisions.sql.
SELECT number FROM rows
WHERE NOT coalesce(
    is_plain_name(filename) AND coalesce(is_plain_box(box), true)
    AND coalesce(width > 0, true) AND coalesce(height > 0, true)
    AND (coalesce(is_plain_time("timestamp"), false) OR "timestamp" IS NULL)
    AND regexp_full_match(project_id, '[ -~]*'),
    false
)
