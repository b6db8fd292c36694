-- One row is one decided group: ai_decisions with types, then how it came about, then what follows from the names.
-- Rows of origin `legacy` are the history imported next to the project.
WITH looks AS (
    -- grouped, so that DuckDB leaves the join out of a query that asks for no time
    SELECT owner, origin, group_id, any_value(updated_at) AS updated_at FROM source.review_state GROUP BY ALL
),

-- of the crop that counts, the latest
boxes AS (
    SELECT owner, origin, group_id, arg_max(box_source, batch) AS box_source
    FROM source.crops WHERE group_id IS NOT NULL GROUP BY ALL
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
        -- applied to the copy in the sandbox, while the group itself waits
        coalesce(c.input, CASE WHEN s.group_id IS NOT NULL THEN 'sandbox' END) AS input,
        coalesce(c.source, s.source) AS source,
        text_map(coalesce(c.versions, s.versions)) AS versions,
        coalesce(c.milliseconds, s.milliseconds) AS milliseconds,
        c.crop_input,
        k.box_source,
        utc(c.dropped_at) AS dropped_at,
        -- the last key on the group; without it the moment of the finalise, which a whole batch shares
        least(coalesce(utc(r.updated_at), utc(g.timestamp)), utc(g.timestamp)) AS decided_at,
        list_transform(texts(g.images), lambda name: stage_of(name)) AS stages
    FROM source.ai_decisions AS g
    LEFT JOIN source.decision_context AS c USING (owner, origin, group_id)
    LEFT JOIN source.sandbox_decisions AS s USING (owner, origin, group_id)
    LEFT JOIN looks AS r USING (owner, origin, group_id)
    LEFT JOIN boxes AS k USING (owner, origin, group_id)
),

named AS (
    SELECT
        *,
        CASE WHEN user_action <> 'reject' THEN images[user_selected_index + 1] END AS picked,
        CASE WHEN user_action <> 'reject' THEN stages[user_selected_index + 1] END AS picked_stage,
        images[ai_selected_index + 1] AS ai_picked,
        stages[ai_selected_index + 1] AS ai_stage,
        -- where one image alone has the highest stage and every stage is known
        CASE WHEN list_count(stages) = len(stages) AND list_count(list_filter(stages, lambda x: x = list_max(stages))) = 1
            THEN list_position(stages, list_max(stages)) - 1 END AS highest_stage_index
    FROM typed
),

final AS (
    SELECT
        *,
        -- the user chose a lower stage than the highest; NULL where stages are unknown or tied, or all were rejected
        CASE WHEN user_action <> 'reject' AND highest_stage_index IS NOT NULL
            THEN user_selected_index <> highest_stage_index END AS anomaly,
        -- what the machine decided alone is never its accuracy (DESIGN.md, invariant 11)
        input IS DISTINCT FROM 'auto' AS by_person,
        input IS DISTINCT FROM 'auto' AND crop_input IS DISTINCT FROM 'apply_ai'
            AND coalesce(box_source, 'drawn') IN ('drawn', 'ai') AS crop_by_person
    FROM named
)

SELECT * FROM final
