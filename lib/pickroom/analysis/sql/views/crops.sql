-- One row is one crop made; `counts` marks the latest of its group. Rows of origin `legacy` were imported. ai_box is
-- NULL where the AI had proposed none for the cropped image. box_source is the source of the box (FORMATS.md, Crops),
-- NULL where it was not stored; own_box is false for boxes that are not the user's.
WITH made AS (
    SELECT
        origin, owner, owner AS project_id, group_id, directory, filename, box_of(box) AS box, input, batch, sha256,
        utc(made_at) AS made_at,
        coalesce(box_source, CASE input WHEN 'apply_ai' THEN 'ai_all' END) AS box_source,
        row_number() OVER (PARTITION BY owner, coalesce(group_id, concat_ws('/', directory, filename)) ORDER BY batch DESC) = 1 AS counts,
        NULL::BIGINT AS width, NULL::BIGINT AS height
    FROM source.crops
),

-- crops of an earlier system, or imported: coordinates in the decision, no row of their own
older AS (
    SELECT
        d.origin, d.owner, d.project_id, d.group_id, d.directory, texts(d.images)[d.user_selected_index + 1] AS filename,
        box_of(d.final_crop_coords) AS box, NULL AS input, NULL::BIGINT AS batch, NULL AS sha256,
        utc(d.crop_timestamp) AS made_at, NULL AS box_source, true AS counts, d.image_width AS width, d.image_height AS height
    FROM source.ai_decisions AS d
    ANTI JOIN (SELECT owner, origin, group_id FROM source.crops WHERE group_id IS NOT NULL) AS k USING (owner, origin, group_id)
    WHERE d.final_crop_coords IS NOT NULL
    UNION ALL
    SELECT
        origin, owner, project_id, NULL AS group_id, NULL AS directory, filename, box_of(box) AS box, NULL AS input,
        NULL::BIGINT AS batch, NULL AS sha256, utc(timestamp) AS made_at, NULL AS box_source, true AS counts, width, height
    FROM source.legacy_crops
    WHERE box IS NOT NULL
),

proposed AS (
    SELECT
        owner, origin, group_id, directory, image_width, image_height,
        CASE WHEN ai_selected_index = user_selected_index THEN box_of(ai_crop_coords) END AS ai_box
    FROM source.ai_decisions
),

sized AS (
    SELECT
        -- of a decided group its own, also where it was cropped in a flat project
        m.* EXCLUDE (owner, width, height) REPLACE (coalesce(p.directory, m.directory) AS directory), p.ai_box, stage_of(m.filename) AS stage,
        coalesce(m.width, p.image_width) AS width, coalesce(m.height, p.image_height) AS height
    FROM (SELECT * FROM made UNION ALL SELECT * FROM older) AS m
    LEFT JOIN proposed AS p USING (owner, origin, group_id)
),

final AS (
    SELECT
        *,
        coalesce(box_source, 'drawn') IN ('drawn', 'ai') AS own_box,
        CASE WHEN width > height THEN 'landscape' WHEN width < height THEN 'portrait' WHEN width = height THEN 'square' END
            AS orientation,
        box_iou(box, ai_box) AS iou,
        corner_error(box, ai_box) AS corner_error,
        -- 1e-9: a difference of exactly .05 must not fail by floating point alone
        corner_error(box, ai_box) <= 0.05 + 1e-9 AS within_5
    FROM sized
)

SELECT * FROM final
