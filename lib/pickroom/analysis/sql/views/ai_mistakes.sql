-- One row is one decision in which the user picked another image than the AI.
SELECT * FROM ai_decisions WHERE selection_match = 0
