-- One row is one project: how often a lower stage than the highest was picked, and how often the AI recommended it. The
-- baseline "highest stage" never does. Only groups with known stages and one image of the highest stage count.
WITH counted AS (
    SELECT
        project_id, origin,
        count(*) AS groups,
        count(*) FILTER (NOT anomaly) AS normal_groups,
        count(*) FILTER (anomaly) AS anomaly_groups,
        count(selection_match) FILTER (NOT anomaly) AS normal_selections,
        count(*) FILTER (selection_match AND NOT anomaly) AS normal_correct,
        count(selection_match) FILTER (anomaly) AS anomaly_selections,
        count(*) FILTER (selection_match AND anomaly) AS anomaly_correct
    FROM decisions
    WHERE by_person AND anomaly IS NOT NULL
    GROUP BY ALL
),

final AS (
    SELECT
        *,
        anomaly_groups / groups AS anomaly_rate,
        normal_correct / nullif(normal_selections, 0) AS normal_accuracy,
        anomaly_correct / nullif(anomaly_selections, 0) AS anomaly_accuracy,
        normal_groups / groups AS highest_stage_accuracy
    FROM counted
)

SELECT * FROM final ORDER BY project_id, origin
