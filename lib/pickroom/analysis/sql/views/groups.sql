-- One row is one group of a project, in the queue's order; `outcome` is NULL while it waits.
WITH members AS (
    SELECT
        m.group_id,
        list(m.filename ORDER BY m.position) AS images,
        list(s.stage ORDER BY m.position) AS stages
    FROM src_group_members AS m
    LEFT JOIN src_stages AS s USING (filename)
    GROUP BY m.group_id
),

final AS (
    SELECT
        getvariable('project_id') AS project_id, g.group_id, g.sequence, g.directory, g.batch_number, g.method, g.deferrals,
        m.images, m.stages,
        c.outcome, c.input, c.batch AS finalise_batch, utc(c.decided_at) AS decided_at,
        -- what is chosen so far and not yet finalised
        CASE WHEN c.group_id IS NULL THEN r.action END AS choice,
        r.held_reason
    FROM src_groups AS g
    LEFT JOIN members AS m USING (group_id)
    LEFT JOIN src_decision_context AS c USING (group_id)
    LEFT JOIN src_review_state AS r USING (group_id)
)

SELECT * FROM final ORDER BY sequence
