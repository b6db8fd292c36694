-- One row is one row of a project's database, or of its imports, that no program of Pickroom writes: it is in no other
-- view. row_of is the group or the file that it is about, failed_check as `pickroom check` names it.
SELECT origin, owner AS project_id, table_name, failed_check, row_of, what FROM source.unsound_rows
