-- One row is one imported pick that is too little for a decision: no sizes, no recommendation.
SELECT
    project_id, chosen, texts(others) AS others, s.stage AS chosen_stage, utc(timestamp) AS "timestamp", source_file, source_line
FROM old_legacy_selections
LEFT JOIN src_stages AS s ON s.filename = chosen
