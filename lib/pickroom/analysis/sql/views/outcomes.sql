-- One row is one finalised group, those kept whole (key K) included, which have no row in ai_decisions.
WITH decided AS (
    SELECT
        'project' AS origin, d.project_id, d.group_id, d.user_action AS outcome, d.timestamp, len(texts(d.images)) AS images,
        c.input, c.source, text_map(c.versions) AS versions, c.milliseconds, r.updated_at
    FROM src_ai_decisions AS d
    LEFT JOIN src_decision_context AS c USING (group_id)
    LEFT JOIN src_review_state AS r USING (group_id)
    UNION ALL
    SELECT
        'legacy' AS origin, d.project_id, d.group_id, d.user_action AS outcome, d.timestamp, len(texts(d.images)) AS images,
        c.input, c.source, text_map(c.versions) AS versions, c.milliseconds, NULL AS updated_at
    FROM old_ai_decisions AS d
    LEFT JOIN old_decision_context AS c USING (group_id)
),

member_counts AS (
    SELECT group_id, count(*) AS images FROM src_group_members GROUP BY group_id
),

kept AS (
    SELECT
        'project' AS origin, getvariable('project_id') AS project_id, c.group_id, c.outcome, c.decided_at AS timestamp, m.images,
        c.input, c.source, text_map(c.versions) AS versions, c.milliseconds, r.updated_at
    FROM src_decision_context AS c
    LEFT JOIN member_counts AS m USING (group_id)
    LEFT JOIN src_review_state AS r USING (group_id)
    WHERE c.outcome = 'keep'
),

final AS (
    SELECT
        origin, project_id, group_id, outcome, images, input, source, versions, milliseconds,
        utc(timestamp) AS "timestamp",
        least(coalesce(utc(updated_at), utc(timestamp)), utc(timestamp)) AS decided_at,
        input IS DISTINCT FROM 'auto' AS by_person
    FROM (SELECT * FROM decided UNION ALL SELECT * FROM kept)
)

SELECT * FROM final
