-- One row is one imported pick that lacks data for a decision: it has no sizes and no recommendation.
SELECT
    project_id, chosen, texts(others) AS others, stage_of(chosen) AS chosen_stage, utc(timestamp) AS "timestamp",
    source_file, source_line
FROM source.legacy_selections
