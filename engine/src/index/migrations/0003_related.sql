-- Relations without a body that are there since the first snapshot and still are: several keys under one parent in one row.
-- `keys` holds the difference of each key from the one before it, of the first from `key`, as varints.
CREATE TABLE related (
    space INTEGER NOT NULL,
    parent INTEGER NOT NULL,
    key INTEGER NOT NULL,
    keys BLOB NOT NULL,
    PRIMARY KEY (space, parent, key)
) STRICT, WITHOUT ROWID;
