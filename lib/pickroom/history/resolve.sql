-- Which of the rows that speak of the same thing is kept. Run once, when everything is read. A verdict other than
-- 'replaced' and 'pick only' is the name of a reason in skip_reasons.py.

CREATE INDEX decisions_by_id ON decisions (group_id);

-- One row is one pick that was read before, or is known already: the first is kept, a known one before it,
-- and a decision before a selection, since it knows more.
CREATE TABLE pick_ranks AS
WITH picks AS (
    SELECT 0 AS kind, rowid AS id, existing, key, project_id, chosen, timestamp, file, line FROM decisions
    UNION ALL
    SELECT 1, rowid, existing, key, project_id, chosen, timestamp, file, line FROM selections
), ranked AS (
    SELECT kind, id, existing, row_number() OVER known AS place, first_value(existing) OVER known AS kept_existing
    FROM picks
    WINDOW known AS (PARTITION BY key, project_id, chosen, timestamp ORDER BY existing DESC, kind, file, line)
)
SELECT kind, id, kept_existing FROM ranked WHERE place > 1 AND existing = 0;

UPDATE decisions SET verdict = CASE kept_existing WHEN 2 THEN 'decided' WHEN 1 THEN 'imported' ELSE 'repeated' END
FROM pick_ranks WHERE kind = 0 AND id = decisions.rowid;
UPDATE selections SET verdict = CASE kept_existing WHEN 2 THEN 'decided' WHEN 1 THEN 'imported' ELSE 'repeated' END
FROM pick_ranks WHERE kind = 1 AND id = selections.rowid;

-- A group's id stands for one decision.
UPDATE decisions SET verdict = 'same id'
WHERE verdict IS NULL AND existing = 0 AND EXISTS (
    SELECT 1 FROM decisions AS other
    WHERE other.group_id = decisions.group_id AND other.verdict IS NULL
        AND (other.existing > 0 OR other.rowid < decisions.rowid)
);

-- One row is one crop of a file that has several: the first is kept, unless it was full frame and a later one is
-- not (FORMATS.md): the later boxes are in the cropped frame. What knows no box gives way to what does.
CREATE TABLE crop_ranks AS
WITH boxes AS (
    -- a decision that is stored already is left as it is
    SELECT 0 AS kind, rowid AS id, iif(existing > 0, 2, 0) AS existing, rank, project_id,
        chosen AS filename, final_crop_coords AS box, timestamp, file, line
    FROM decisions WHERE verdict IS NULL AND chosen IS NOT NULL AND final_crop_coords IS NOT NULL
    UNION ALL
    SELECT 1, rowid, existing, rank, project_id, filename, box, timestamp, file, line FROM crops
)
SELECT kind, id, existing, rank, box, timestamp, file, line,
    row_number() OVER best AS place,
    first_value(kind) OVER best AS kept_kind,
    first_value(existing) OVER best AS kept_existing,
    first_value(rank) OVER best AS kept_rank,
    first_value(file) OVER best AS kept_file,
    first_value(line) OVER best AS kept_line,
    first_value(box) OVER best AS kept_box,
    first_value(timestamp) OVER best AS kept_timestamp
FROM boxes
WINDOW best AS (PARTITION BY project_id, filename ORDER BY existing = 2 DESC, rank, existing DESC, file, line);

-- Why each of the others is left out. An imported row that a better one replaces is 'replaced'.
CREATE TABLE crop_verdicts AS
SELECT kind, id, kept_kind, CASE
    WHEN existing > 0 THEN 'replaced'
    WHEN box IS kept_box AND timestamp IS kept_timestamp THEN iif(kept_existing > 0, 'imported', 'repeated')
    WHEN rank = 2 THEN 'no coordinates'
    WHEN rank = 1 AND kept_rank = 0 AND kept_existing = 0 AND (file, line) < (kept_file, kept_line) THEN 'full frame'
    ELSE 'reopened'
END AS verdict
FROM crop_ranks WHERE place > 1 AND existing < 2;

UPDATE crops SET verdict = crop_verdicts.verdict
FROM crop_verdicts WHERE kind = 1 AND id = crops.rowid;

-- A decision whose crop is better known from a row without a group still says what was picked.
UPDATE decisions SET verdict = iif(kept_kind = 1, 'pick only', crop_verdicts.verdict)
FROM crop_verdicts WHERE kind = 0 AND id = decisions.rowid;

-- The id of such a row is free, and would be in the next import. It goes to the first row without a crop, since the
-- crops are decided; where each has one, the rows of this id are picks only.
UPDATE decisions SET verdict = NULL WHERE rowid IN (
    SELECT min(rowid) FROM decisions AS one
    WHERE verdict = 'same id' AND final_crop_coords IS NULL
        AND NOT EXISTS (SELECT 1 FROM decisions WHERE group_id = one.group_id AND verdict IS NULL)
    GROUP BY group_id
);
UPDATE decisions SET verdict = 'pick only'
WHERE verdict = 'same id'
    AND NOT EXISTS (SELECT 1 FROM decisions AS other WHERE other.group_id = decisions.group_id AND other.verdict IS NULL);
INSERT INTO selections (key, project_id, chosen, others, timestamp, file, line)
SELECT key, project_id, chosen,
    (SELECT json_group_array(name.value) FROM json_each(images) AS name WHERE name.value <> chosen),
    timestamp, file, line
FROM decisions WHERE verdict = 'pick only';

-- The report asks for what is left out, and there is little of it.
CREATE INDEX decisions_left_out ON decisions (file, verdict) WHERE verdict IS NOT NULL;
CREATE INDEX selections_left_out ON selections (file, verdict) WHERE verdict IS NOT NULL;
CREATE INDEX crops_left_out ON crops (file, verdict) WHERE verdict IS NOT NULL;
CREATE INDEX crops_beside ON crops (file, line) WHERE main = 0;
