-- One row is one project's decisions by a person, its imported history (`legacy`) apart: as the database's own view
-- `ai_performance` counts them. A crop counts where the AI's image is the one cropped, and the box is the user's.
SELECT
    project_id,
    count(*) AS total_decisions,
    count(*) FILTER (selection_match) AS correct_selections,
    count(*) FILTER (crop_match AND selection_match AND crop_by_person) AS correct_crops,
    avg(selection_match::INTEGER) AS selection_accuracy,
    avg(crop_match::INTEGER) FILTER (selection_match AND crop_by_person) AS crop_accuracy,
    origin
FROM decisions
WHERE by_person
GROUP BY project_id, origin
