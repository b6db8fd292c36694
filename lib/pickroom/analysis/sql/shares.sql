-- One row is one project: what became of its finalised groups. Kept: one image picked as it is; kept whole: every image
-- (key K).
WITH final AS (
    SELECT
        project_id, origin,
        count(*) AS groups,
        count_if(outcome = 'approve') AS kept,
        count_if(outcome = 'crop') AS cropped,
        count_if(outcome = 'reject') AS rejected,
        count_if(outcome = 'keep') AS kept_whole,
        count_if(NOT by_person) AS by_machine,
        count_if(outcome = 'approve') / count(*) AS kept_share,
        count_if(outcome = 'crop') / count(*) AS cropped_share,
        count_if(outcome = 'reject') / count(*) AS rejected_share,
        count_if(outcome = 'keep') / count(*) AS kept_whole_share
    FROM outcomes
    GROUP BY ALL
)

SELECT * FROM final ORDER BY project_id, origin
