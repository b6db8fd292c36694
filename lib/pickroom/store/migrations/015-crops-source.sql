-- Whether a crop's box is the user's: a page submitted at once had its untouched default boxes cut as if they were drawn.
-- drawn: the user drew or changed it; ai: the AI's box, accepted by itself; ai_all: one of all AI boxes applied at once;
-- default: the box that the crop desk opens with, left as it was. Only drawn and ai train and count.
-- Rows that were made before this get theirs from their box, beside these statements: see store/crops.py, name_sources.
ALTER TABLE crops ADD COLUMN box_source TEXT NOT NULL DEFAULT 'drawn'
    CHECK (box_source IN ('drawn', 'ai', 'ai_all', 'default'));

-- One row is one group whose crop was made: the crop that counts is the latest.
CREATE VIEW final_crops AS
SELECT group_id, filename, box, box_source, max(batch) AS batch
FROM crops
WHERE group_id IS NOT NULL
GROUP BY group_id;
