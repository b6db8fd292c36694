-- One row is one decided group, with the columns of the database's own table as it holds them; then where it comes from:
-- `project`, or `legacy` for imported history.
SELECT
    group_id, "timestamp", project_id, directory, batch_number, images, ai_selected_index, ai_crop_coords, ai_confidence,
    user_selected_index, user_action, ai_crop_accepted, final_crop_coords, crop_timestamp, image_width, image_height,
    selection_match, crop_match, origin
FROM source.ai_decisions
