-- One row is one stage and orientation: how far the AI's crops were from the user's crops of the same images. iou is
-- the overlap; corner_error is the distance of the farthest corner, as a fraction of the image.
WITH final AS (
    SELECT
        project_id, origin, stage, orientation,
        count(*) AS crops,
        count(iou) AS proposed,
        avg(iou) AS mean_iou,
        median(iou) AS median_iou,
        count(*) FILTER (iou >= 0.85) / nullif(count(iou), 0) AS iou_85,
        avg(corner_error) AS mean_corner_error,
        count(*) FILTER (within_5) / nullif(count(iou), 0) AS within_5
    FROM crops
    WHERE counts AND own_box
    GROUP BY ALL
)

SELECT * FROM final ORDER BY project_id, origin, stage NULLS LAST, orientation NULLS LAST
