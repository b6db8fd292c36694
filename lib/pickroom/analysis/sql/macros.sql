-- What the views and the named queries share: reading SQLite's texts as types, and the interval of a share.

-- A time as FORMATS.md writes it, as TIMESTAMP in UTC; NULL for anything else.
CREATE OR REPLACE MACRO utc(text) AS TRY_CAST(text AS TIMESTAMPTZ) AT TIME ZONE 'UTC';

-- A JSON array of texts.
CREATE OR REPLACE MACRO texts(json_text) AS TRY_CAST(TRY_CAST(json_text AS JSON) AS VARCHAR[]);

-- A JSON object of texts.
CREATE OR REPLACE MACRO text_map(json_text) AS TRY_CAST(TRY_CAST(json_text AS JSON) AS MAP(VARCHAR, VARCHAR));

-- A box [x1, y1, x2, y2], four numbers or NULL; a list here, since Parquet knows no other: the views make it DOUBLE[4].
CREATE OR REPLACE MACRO box_of(json_text) AS TRY_CAST(TRY_CAST(json_text AS JSON) AS DOUBLE[4])::DOUBLE[];

-- Seconds that a group was looked at; NULL where that is not known, or so long that it holds a pause (two minutes or more;
-- earlier versions wrote 300 s for each): `looks_s` in store/review_state.py is the same rule.
CREATE OR REPLACE MACRO look_s(milliseconds) AS CASE WHEN milliseconds BETWEEN 1 AND 119999 THEN milliseconds / 1000 END;

CREATE OR REPLACE MACRO box_area(b) AS (b[3] - b[1]) * (b[4] - b[2]);

CREATE OR REPLACE MACRO box_overlap(a, b) AS
    greatest(least(a[3], b[3]) - greatest(a[1], b[1]), 0) * greatest(least(a[4], b[4]) - greatest(a[2], b[2]), 0);

-- Intersection over union of two boxes.
CREATE OR REPLACE MACRO box_iou(a, b) AS
    box_overlap(a, b) / (box_area(a) + box_area(b) - box_overlap(a, b));

-- The corner farthest off, as a fraction of the image.
CREATE OR REPLACE MACRO corner_error(a, b) AS
    greatest(abs(a[1] - b[1]), abs(a[2] - b[2]), abs(a[3] - b[3]), abs(a[4] - b[4]));

-- Wilson's 95 % interval of a share of `hits` in `n` (Wilson 1927); NULL for n = 0. 1.9599639845 is its normal quantile.
CREATE OR REPLACE MACRO wilson_half(hits, n) AS
    1.959963984540054 * sqrt(hits / n * (1 - hits / n) / n + 1.959963984540054 ** 2 / 4 / n / n);
CREATE OR REPLACE MACRO wilson_low(hits, n) AS CASE WHEN n > 0 THEN greatest(
    (hits / n + 1.959963984540054 ** 2 / 2 / n - wilson_half(hits, n)) / (1 + 1.959963984540054 ** 2 / n), 0) END;
CREATE OR REPLACE MACRO wilson_high(hits, n) AS CASE WHEN n > 0 THEN least(
    (hits / n + 1.959963984540054 ** 2 / 2 / n + wilson_half(hits, n)) / (1 + 1.959963984540054 ** 2 / n), 1) END;

-- For `sql/suspects`: a file's name; a path below the project's root; a time; a box whose corners are in
-- order and inside.
CREATE OR REPLACE MACRO is_plain_name(name) AS regexp_full_match(name, '[^/\x00-\x1f]+') AND name NOT IN ('.', '..');
CREATE OR REPLACE MACRO leads_inside(path) AS path = ''
    OR (regexp_full_match(path, '[^/\x00-\x1f]+(/[^/\x00-\x1f]+)*') AND NOT regexp_matches(path, '(^|/)\.\.?(/|$)'));
CREATE OR REPLACE MACRO is_plain_time(text) AS regexp_full_match(text, '\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ?')
    AND text >= '0001' AND TRY_CAST(text AS TIMESTAMP) IS NOT NULL;
CREATE OR REPLACE MACRO is_plain_box(box) AS regexp_full_match(box, '\[\d(\.\d+)?(, ?\d(\.\d+)?){3}\]')
    AND list_extract(TRY_CAST(box AS DOUBLE[]), 1) < list_extract(TRY_CAST(box AS DOUBLE[]), 3)
    AND list_extract(TRY_CAST(box AS DOUBLE[]), 2) < list_extract(TRY_CAST(box AS DOUBLE[]), 4)
    AND list_max(TRY_CAST(box AS DOUBLE[])) <= 1;
