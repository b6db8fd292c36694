-- One row is the present recommendation of a model, a baseline or a simulation for one group.
SELECT
    owner AS project_id, group_id, source, selected_index,
    box_of(crop_coords) AS crop_coords,
    crop_needed::BOOLEAN AS crop_needed,
    confidence, crop_confidence,
    texts(reasons) AS reasons,
    texts(anomaly_flags) AS anomaly_flags,
    text_map(versions) AS versions,
    utc(made_at) AS made_at
FROM source.recommendations
