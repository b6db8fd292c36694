-- One row is one group of a project, in the queue's order; `outcome` is NULL while it waits.
WITH members AS (
    SELECT
        owner, group_id,
        list(filename ORDER BY position) AS images,
        list(stage_of(filename) ORDER BY position) AS stages
    FROM source.group_members
    GROUP BY ALL
),

final AS (
    SELECT
        g.owner AS project_id, g.group_id, g.sequence, g.directory, g.batch_number, g.method, g.kind,
        CASE WHEN g.kind = 'burst' THEN g.group_id END AS burst_id, g.deferrals,
        m.images, m.stages,
        c.outcome, c.input, c.batch AS finalise_batch, utc(c.decided_at) AS decided_at,
        -- what is chosen so far and not yet finalised
        CASE WHEN c.group_id IS NULL THEN r.action END AS choice,
        r.held_reason
    FROM source.groups AS g
    LEFT JOIN members AS m USING (owner, group_id)
    LEFT JOIN source.decision_context AS c ON c.owner = g.owner AND c.origin = 'project' AND c.group_id = g.group_id
    LEFT JOIN source.review_state AS r ON r.owner = g.owner AND r.group_id = g.group_id
)

SELECT * FROM final ORDER BY project_id, sequence
