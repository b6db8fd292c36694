-- One row is one project's decisions by the user, with imported history (`legacy`) in a row of its own: as the
-- database's own view `ai_performance` counts them. A crop counts where the AI's image is the one cropped, and the box
-- is the user's.
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
