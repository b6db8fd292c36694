-- Groups that wait for nobody, since an imported row says what was picked of them. Made anew by every scan and import.
-- One row is one such group; chosen is its picked image, NULL where the whole group was rejected.
CREATE TABLE imported_groups (
    group_id TEXT PRIMARY KEY REFERENCES groups (group_id) ON DELETE CASCADE,
    chosen TEXT
) STRICT;
