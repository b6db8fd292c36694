-- A file that cannot be read costs a scan one look at its size and time, as an unchanged image does: one of gigabytes took
-- a minute each time. `images` cannot say it: a row there may have no content because its name is ambiguous.
-- One row is one file whose bytes are no readable image; reason says why. A file that could not be opened is not here.
CREATE TABLE unreadable_files (
    directory TEXT NOT NULL,
    filename TEXT NOT NULL,
    file_size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (directory, filename)
) STRICT, WITHOUT ROWID;
