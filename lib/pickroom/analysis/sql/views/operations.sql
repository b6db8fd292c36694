-- One row is one journalled step: a move, or a small file written or removed. Paths are relative to the root.
SELECT
    getvariable('project_id') AS project_id, id, batch, kind, unit, op, source, destination, sha256, undoes, state, error,
    utc(planned_at) AS planned_at,
    utc(finished_at) AS finished_at
FROM src_file_operations
ORDER BY id
