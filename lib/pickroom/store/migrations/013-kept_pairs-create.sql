-- Duplicates of which a person said that both stay: they are never suggested again. An image is its name and its content
-- (not its path: a pick moves to another folder and is the same image), the smaller of the two first.
CREATE TABLE kept_pairs (
    name_a TEXT NOT NULL,
    sha256_a TEXT NOT NULL,
    name_b TEXT NOT NULL,
    sha256_b TEXT NOT NULL,
    kept_at TEXT NOT NULL,
    PRIMARY KEY (name_a, sha256_a, name_b, sha256_b),
    CHECK ((name_a, sha256_a) <= (name_b, sha256_b))
) STRICT, WITHOUT ROWID;
