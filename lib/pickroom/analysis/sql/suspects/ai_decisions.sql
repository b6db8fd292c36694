-- One row is one decision that may be unsound. `integrity.checks` has the last word on it and never sees the others, so that a
-- condition here may be stricter than the check, and never laxer.
SELECT number FROM rows
WHERE NOT coalesce(
    regexp_full_match(group_id, '[!-~]+') AND regexp_full_match(project_id, '[!-~]+')
    AND regexp_full_match("timestamp", '[ -~]*') AND coalesce(regexp_full_match(crop_timestamp, '[ -~]*'), true)
    AND coalesce(leads_inside(directory), true)
    AND coalesce(ai_confidence BETWEEN 0 AND 1, true)
    AND coalesce(batch_number <> -1, true) -- DuckDB refuses to read what is not a whole number
    AND coalesce(selection_match IN (0, 1), true) AND coalesce(crop_match IN (0, 1), true)
    AND coalesce(ai_crop_accepted IN (0, 1), true)
    AND user_action IN ('approve', 'crop', 'reject')
    AND image_width > 0 AND image_height > 0
    -- two to four different names, without a slash or anything escaped
    AND regexp_full_match(images, '\["[^"\\/\x00-\x1f]+"(, ?"[^"\\/\x00-\x1f]+"){1,3}\]')
    AND NOT contains(images, '"."') AND NOT contains(images, '".."')
    AND len(list_distinct(string_split(images, '"')[2:8:2])) = len(string_split(images, '"')) // 2
    AND user_selected_index BETWEEN 0 AND len(string_split(images, '"')) // 2 - 1
    AND coalesce(ai_selected_index BETWEEN 0 AND len(string_split(images, '"')) // 2 - 1, true)
    AND coalesce(is_plain_box(ai_crop_coords), true) AND coalesce(is_plain_box(final_crop_coords), true),
    false
)
