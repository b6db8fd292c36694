-- One row is one journalled step: a move, or a small file written or removed. Paths are relative to the root.
SELECT
    owner AS project_id, id, batch, kind, unit, op, source, destination, sha256, undoes, state, error,
    utc(planned_at) AS planned_at,
    utc(finished_at) AS finished_at
FROM source.file_operations
ORDER BY project_id, id
