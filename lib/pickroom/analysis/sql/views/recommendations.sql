-- One row is the present recommendation of a model, a baseline or a simulation for one group.
SELECT
    r.owner AS project_id, r.group_id, g.directory, r.source, r.selected_index,
    box_of(crop_coords) AS crop_coords,
    crop_needed::BOOLEAN AS crop_needed,
    confidence, crop_confidence,
    texts(reasons) AS reasons,
    texts(anomaly_flags) AS anomaly_flags,
    text_map(versions) AS versions,
    utc(made_at) AS made_at
FROM source.recommendations AS r
LEFT JOIN source.groups AS g USING (owner, group_id)
