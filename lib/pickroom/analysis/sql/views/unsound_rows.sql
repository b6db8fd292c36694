-- One row is one row of a project's database, or of its imports, that no program of Pickroom writes: it is in no other
-- view. row_of is the group or the file that it is about, failed_check as `pickroom check` names it.
SELECT 'project' AS origin, getvariable('project_id') AS project_id, * FROM src_unsound_rows
UNION ALL
SELECT 'legacy' AS origin, getvariable('project_id') AS project_id, * FROM old_unsound_rows
