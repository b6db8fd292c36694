-- One row is one round of a burst that may be unsound; see ai_decisions.sql.
SELECT number FROM rows
WHERE NOT coalesce(
    regexp_full_match(group_id, '[!-~]+')
    AND regexp_full_match(images, '\["[^"\\/\x00-\x1f]+"(, ?"[^"\\/\x00-\x1f]+"){1,3}\]')
    AND NOT contains(images, '"."') AND NOT contains(images, '".."')
    AND len(list_distinct(string_split(images, '"')[2:8:2])) = len(string_split(images, '"')) // 2
    AND chosen BETWEEN 0 AND len(string_split(images, '"')) // 2 - 1,
    false
)
