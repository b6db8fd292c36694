-- One row is one crop whose row may be unsound; see ai_decisions.sql.
SELECT number FROM rows
WHERE NOT coalesce(is_plain_name(filename) AND coalesce(is_plain_box(box), true), false)
