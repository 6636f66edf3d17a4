-- Versions that are there since the first snapshot and still are: several objects under one parent in one row.
CREATE TABLE lasting (
    space INTEGER NOT NULL,
    parent INTEGER NOT NULL,
    key INTEGER NOT NULL,
    versions BLOB NOT NULL,
    PRIMARY KEY (space, parent, key)
) STRICT, WITHOUT ROWID;
