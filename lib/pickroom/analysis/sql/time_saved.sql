-- One row is one project: an estimate of the time that the recommendations saved, in seconds; NULL where there is
-- nothing to compare with. A group accepted as recommended is compared with one where the user chose otherwise or saw
-- no recommendation (blind mode, no pick); an accepted crop with one drawn by hand.
WITH looks AS (
    SELECT
        d.project_id,
        look_s(d.milliseconds) AS look_s,
        d.selection_match AND d.input IS DISTINCT FROM 'blind' AS taken
    FROM decisions AS d
    WHERE d.origin = 'project' AND d.by_person AND d.user_action <> 'reject' AND look_s(d.milliseconds) IS NOT NULL
),

picks AS (
    SELECT
        project_id,
        count(*) FILTER (taken) AS taken,
        count(*) FILTER (taken IS DISTINCT FROM true) AS own,
        median(look_s) FILTER (taken) AS taken_s,
        median(look_s) FILTER (taken IS DISTINCT FROM true) AS own_s
    FROM looks
    GROUP BY project_id
),

-- crops written at one moment, as a whole page once was: the gap since the moment before, shared among them
pages AS (
    SELECT
        project_id, made_at, count(*) AS crops, made_at - lag(made_at) OVER (PARTITION BY project_id ORDER BY made_at) AS gap,
        bool_and(coalesce(box_source, 'drawn') = 'drawn') AS drawn
    FROM crops
    WHERE origin = 'project' AND input = 'desk'
    GROUP BY project_id, made_at
),

hand AS (
    SELECT project_id, median(epoch(gap) / crops) AS crop_s
    FROM pages
    WHERE gap <= INTERVAL 5 MINUTE AND drawn
    GROUP BY project_id
),

given AS (
    SELECT project_id, count(*) AS crops_taken FROM crops WHERE origin = 'project' AND box_source = 'ai_all' GROUP BY project_id
),

final AS (
    SELECT
        p.*,
        p.taken * (p.own_s - p.taken_s) AS picks_saved_s,
        h.crop_s,
        coalesce(g.crops_taken, 0) AS crops_taken,
        g.crops_taken * h.crop_s AS crops_saved_s
    FROM picks AS p
    LEFT JOIN hand AS h USING (project_id)
    LEFT JOIN given AS g USING (project_id)
)

SELECT * FROM final ORDER BY project_id
