-- One row is one decided group: ai_decisions with types, then how it came about, then what follows from the names.
-- Rows of origin `legacy` are the history imported beside the project.
WITH gathered AS (
    SELECT 'project' AS origin, * FROM src_ai_decisions
    UNION ALL
    SELECT 'legacy' AS origin, * FROM old_ai_decisions
),

contexts AS (
    SELECT 'project' AS origin, c.*, r.updated_at FROM src_decision_context AS c
    LEFT JOIN src_review_state AS r USING (group_id)
    UNION ALL
    SELECT 'legacy' AS origin, *, NULL AS updated_at FROM old_decision_context
),

-- of the crop that counts, the latest
boxes AS (
    SELECT 'project' AS origin, group_id, arg_max(box_source, batch) AS box_source
    FROM src_crops WHERE group_id IS NOT NULL GROUP BY group_id
),

typed AS (
    SELECT
        g.origin,
        g.group_id,
        utc(g.timestamp) AS "timestamp",
        g.project_id,
        g.directory,
        g.batch_number,
        texts(g.images) AS images,
        g.ai_selected_index,
        box_of(g.ai_crop_coords) AS ai_crop_coords,
        g.ai_confidence,
        g.user_selected_index,
        g.user_action,
        g.ai_crop_accepted::BOOLEAN AS ai_crop_accepted,
        box_of(g.final_crop_coords) AS final_crop_coords,
        utc(g.crop_timestamp) AS crop_timestamp,
        g.image_width,
        g.image_height,
        g.selection_match::BOOLEAN AS selection_match,
        g.crop_match::BOOLEAN AS crop_match,
        c.batch AS finalise_batch,
        c.input,
        c.source,
        text_map(c.versions) AS versions,
        c.milliseconds,
        c.crop_input,
        k.box_source,
        utc(c.dropped_at) AS dropped_at,
        -- the last key on the group; without it the moment of the finalise, which a whole batch shares
        least(coalesce(utc(c.updated_at), utc(g.timestamp)), utc(g.timestamp)) AS decided_at
    FROM gathered AS g
    LEFT JOIN contexts AS c USING (origin, group_id)
    LEFT JOIN boxes AS k USING (origin, group_id)
),

members AS (
    SELECT origin, group_id, unnest(images) AS filename, generate_subscripts(images, 1) AS place FROM typed
),

staged AS (
    SELECT m.origin, m.group_id, list(s.stage ORDER BY m.place) AS stages
    FROM members AS m
    LEFT JOIN src_stages AS s USING (filename)
    GROUP BY ALL
),

named AS (
    SELECT
        t.*,
        s.stages,
        CASE WHEN t.user_action <> 'reject' THEN t.images[t.user_selected_index + 1] END AS picked,
        CASE WHEN t.user_action <> 'reject' THEN s.stages[t.user_selected_index + 1] END AS picked_stage,
        t.images[t.ai_selected_index + 1] AS ai_picked,
        s.stages[t.ai_selected_index + 1] AS ai_stage,
        -- where one image alone has the highest stage and every stage is known
        CASE WHEN list_count(s.stages) = len(s.stages) AND list_count(list_filter(s.stages, lambda x: x = list_max(s.stages))) = 1
            THEN list_position(s.stages, list_max(s.stages)) - 1 END AS highest_stage_index
    FROM typed AS t
    LEFT JOIN staged AS s USING (origin, group_id)
),

final AS (
    SELECT
        *,
        -- the person chose a lower stage than the highest; NULL where stages are unknown or tied, or all were rejected
        CASE WHEN user_action <> 'reject' AND highest_stage_index IS NOT NULL
            THEN user_selected_index <> highest_stage_index END AS anomaly,
        -- what the machine decided alone is never its accuracy (DESIGN.md, invariant 11)
        input IS DISTINCT FROM 'auto' AS by_person,
        input IS DISTINCT FROM 'auto' AND crop_input IS DISTINCT FROM 'apply_ai'
            AND coalesce(box_source, 'drawn') IN ('drawn', 'ai') AS crop_by_person
    FROM named
)

SELECT * FROM final
