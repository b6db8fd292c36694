-- One row is one finalised group, those kept whole (key K) included, which have no row in ai_decisions; not those that
-- were decided for the copy in the sandbox alone.
WITH members AS (
    SELECT owner, group_id, count(*) AS images FROM source.group_members GROUP BY ALL
),

kept AS (
    SELECT owner, group_id, list(filename) AS names FROM source.kept_images WHERE kept = 1 GROUP BY ALL
),

decided AS (
    SELECT d.origin, d.owner, d.project_id, d.group_id, d.user_action AS outcome, d.timestamp,
        -- of a burst, more than its last round
        coalesce(m.images, len(texts(d.images))) AS images,
        -- in addition to the pick
        CASE WHEN d.user_action = 'reject' THEN 0 ELSE coalesce(len(list_filter(
            k.names, lambda name: name <> texts(d.images)[d.user_selected_index + 1])), 0) END AS kept_also
    FROM source.ai_decisions AS d
    LEFT JOIN members AS m ON m.owner = d.owner AND m.group_id = d.group_id AND d.origin = 'project'
    LEFT JOIN kept AS k ON k.owner = d.owner AND k.group_id = d.group_id AND d.origin = 'project'
    WHERE NOT EXISTS (
        SELECT 1 FROM source.sandbox_decisions AS s
        WHERE s.owner = d.owner AND s.origin = d.origin AND s.group_id = d.group_id
    )
    UNION ALL
    SELECT c.origin, c.owner, c.owner AS project_id, c.group_id, c.outcome, c.decided_at AS timestamp, m.images, 0 AS kept_also
    FROM source.decision_context AS c
    LEFT JOIN members AS m USING (owner, group_id)
    WHERE c.origin = 'project' AND c.outcome = 'keep'
),

final AS (
    SELECT
        d.origin, d.project_id, d.group_id, d.outcome, d.images, d.kept_also, c.input, c.source, text_map(c.versions) AS versions,
        c.milliseconds,
        utc(d.timestamp) AS "timestamp",
        least(coalesce(utc(r.updated_at), utc(d.timestamp)), utc(d.timestamp)) AS decided_at,
        c.input IS DISTINCT FROM 'auto' AS by_person
    FROM decided AS d
    LEFT JOIN source.decision_context AS c USING (owner, origin, group_id)
    LEFT JOIN source.review_state AS r USING (owner, origin, group_id)
)

SELECT * FROM final
