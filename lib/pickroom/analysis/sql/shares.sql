-- One row is one project: the outcomes of its finalised groups. Kept: one image picked as it is; kept whole: every
-- image (key K).
WITH final AS (
    SELECT
        project_id, origin,
        count(*) AS groups,
        count(*) FILTER (outcome = 'approve') AS kept,
        count(*) FILTER (outcome = 'crop') AS cropped,
        count(*) FILTER (outcome = 'reject') AS rejected,
        count(*) FILTER (outcome = 'keep') AS kept_whole,
        count(*) FILTER (NOT by_person) AS by_machine,
        count(*) FILTER (outcome = 'approve') / count(*) AS kept_share,
        count(*) FILTER (outcome = 'crop') / count(*) AS cropped_share,
        count(*) FILTER (outcome = 'reject') / count(*) AS rejected_share,
        count(*) FILTER (outcome = 'keep') / count(*) AS kept_whole_share
    FROM outcomes
    GROUP BY ALL
)

SELECT * FROM final ORDER BY project_id, origin
