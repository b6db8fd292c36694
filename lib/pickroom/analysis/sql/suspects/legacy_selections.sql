-- One row is one imported pick that may be unsound; see ai_decisions.sql.
SELECT number FROM rows
WHERE NOT coalesce(
    is_plain_name(chosen) AND regexp_full_match(others, '\["[^"\\/\x00-\x1f]+"(, ?"[^"\\/\x00-\x1f]+")*\]')
    AND NOT contains(others, '"."') AND NOT contains(others, '".."')
    -- every name once; what lies between two of them has a bracket or a comma, as a name may
    AND len(list_distinct(list_append(string_split(others, '"')[2:len(string_split(others, '"')):2], chosen)))
        = len(string_split(others, '"')) // 2 + 1
    AND (coalesce(is_plain_time("timestamp"), false) OR "timestamp" IS NULL)
    AND regexp_full_match(project_id, '[ -~]*'),
    false
)
