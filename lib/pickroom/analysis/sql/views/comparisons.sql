-- One row is one earlier round of a burst that the user decided: its images, and the one that went on. The last round is
-- in decisions. They train, and count in no figure.
SELECT
    m.owner AS project_id, m.group_id, g.directory, m.round,
    texts(m.images) AS images,
    m.chosen AS user_selected_index,
    texts(m.images)[m.chosen + 1] AS picked,
    utc(m.made_at) AS made_at
FROM source.comparisons AS m
JOIN source.decision_context AS c ON c.owner = m.owner AND c.origin = 'project' AND c.group_id = m.group_id
LEFT JOIN source.groups AS g ON g.owner = m.owner AND g.group_id = m.group_id
WHERE c.input <> 'auto'
