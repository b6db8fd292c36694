-- Where an import gathers what it read, in a temporary file, before anything is written: rows in any number.
-- key is the sorted list of the images that were not chosen. existing is 0 for a row just read, 1 for one imported
-- before, 2 for one that stays whatever is read. verdict says why a row is left out; NULL keeps it. (file, line) is where a row was read.

-- One row is one group with everything that ai_decisions needs; chosen is NULL for a rejected group.
CREATE TABLE decisions (
    key TEXT, rank INTEGER, chosen TEXT,
    group_id TEXT, timestamp TEXT, project_id TEXT, directory TEXT, batch_number INTEGER, images TEXT,
    ai_selected_index INTEGER, ai_crop_coords TEXT, ai_confidence REAL, user_selected_index INTEGER, user_action TEXT,
    ai_crop_accepted INTEGER, final_crop_coords TEXT, crop_timestamp TEXT, image_width INTEGER, image_height INTEGER,
    selection_match INTEGER, crop_match INTEGER,
    file INTEGER, line INTEGER, existing INTEGER DEFAULT 0, verdict TEXT
);

-- One row is one image chosen over others.
CREATE TABLE selections (
    key TEXT, project_id TEXT, chosen TEXT, others TEXT, timestamp TEXT,
    file INTEGER, line INTEGER, existing INTEGER DEFAULT 0, verdict TEXT
);

-- One row is one file that was cropped. rank is 0 for a box, 1 for a full frame, 2 for no coordinates; main is 0
-- where the row's pick is a fact of its own.
CREATE TABLE crops (
    rank INTEGER, main INTEGER, project_id TEXT, filename TEXT, box TEXT, width INTEGER, height INTEGER,
    stage REAL, timestamp TEXT, file INTEGER, line INTEGER, existing INTEGER DEFAULT 0, verdict TEXT
);

-- One row is one file, or one pair of folders, being imported; numbered is 0 where `line` is not a line of it.
CREATE TABLE files (file INTEGER PRIMARY KEY, name TEXT NOT NULL, numbered INTEGER NOT NULL);
