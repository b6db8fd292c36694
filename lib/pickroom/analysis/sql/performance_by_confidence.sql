-- One row is one band of the AI's confidence, a tenth wide. A calibrated model is right in about `mean_confidence` of a
-- band's decisions.
WITH banded AS (
    SELECT
        project_id, origin,
        least(floor(ai_confidence * 10 + 1e-9), 9) / 10 AS band_from,
        ai_confidence, selection_match
    FROM decisions
    WHERE by_person AND ai_confidence IS NOT NULL AND selection_match IS NOT NULL
),

final AS (
    SELECT
        project_id, origin, band_from,
        band_from + 0.1 AS band_to,
        count(*) AS selections,
        count(*) FILTER (selection_match) AS correct_selections,
        avg(ai_confidence) AS mean_confidence,
        count(*) FILTER (selection_match) / count(*) AS selection_accuracy,
        wilson_low(count(*) FILTER (selection_match), count(*)) AS selection_low,
        wilson_high(count(*) FILTER (selection_match), count(*)) AS selection_high
    FROM banded
    GROUP BY ALL
)

SELECT * FROM final ORDER BY project_id, origin, band_from
