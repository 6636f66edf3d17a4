-- Names: `no` is a number of this index alone; `sequence`, `parent`, `key`, `first` and `last` are numbers of the store.

CREATE TABLE domain (
    no INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE
) STRICT;

-- One type of one domain.
CREATE TABLE space (
    no INTEGER PRIMARY KEY,
    domain INTEGER NOT NULL,
    type INTEGER NOT NULL,
    UNIQUE (domain, type)
) STRICT;

-- The ids by their numbers: text, or sealed bytes where the id is a name.
CREATE TABLE name (
    domain INTEGER NOT NULL,
    number INTEGER NOT NULL,
    text ANY NOT NULL,
    PRIMARY KEY (domain, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE snapshot (
    domain INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    id BLOB NOT NULL UNIQUE,
    parent BLOB,
    created_at INTEGER NOT NULL,
    as_of INTEGER NOT NULL,
    pinned INTEGER NOT NULL DEFAULT 0,
    removed INTEGER NOT NULL DEFAULT 0,
    changes INTEGER NOT NULL,
    bytes_new INTEGER NOT NULL,
    record_bytes INTEGER NOT NULL,
    coverage TEXT NOT NULL,
    counts TEXT NOT NULL,
    watermark BLOB NOT NULL,
    PRIMARY KEY (domain, sequence)
) STRICT, WITHOUT ROWID;

CREATE TABLE pack (
    no INTEGER PRIMARY KEY,
    domain INTEGER NOT NULL,
    id BLOB NOT NULL UNIQUE,
    epoch INTEGER NOT NULL,
    bytes INTEGER NOT NULL
) STRICT;

CREATE TABLE chunk (
    no INTEGER PRIMARY KEY,
    pack INTEGER NOT NULL,
    place INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    type INTEGER NOT NULL,
    "offset" INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    "rows" INTEGER NOT NULL,
    UNIQUE (pack, place)
) STRICT;

-- One version of an object: from the first snapshot with it to the first without it (null: still there).
-- `place` is chunk * 65536 + ordinal, null for a relation without a body.
CREATE TABLE version (
    space INTEGER NOT NULL,
    parent INTEGER NOT NULL,
    key INTEGER NOT NULL,
    first INTEGER NOT NULL,
    last INTEGER,
    place INTEGER,
    fingerprint INTEGER,
    PRIMARY KEY (space, parent, key, first)
) STRICT, WITHOUT ROWID;

-- What came with a domain's first snapshot is never asked for by its beginning.
CREATE INDEX version_first ON version (space, first) WHERE first > 1;
CREATE INDEX version_last ON version (space, last) WHERE last IS NOT NULL;

-- The parents of objects that have parents and ids of their own.
CREATE TABLE parentage (
    space INTEGER NOT NULL,
    key INTEGER NOT NULL,
    parent INTEGER NOT NULL,
    PRIMARY KEY (space, key, parent)
) STRICT, WITHOUT ROWID;

CREATE TABLE observation (
    space INTEGER NOT NULL,
    bucket INTEGER NOT NULL,
    chunk INTEGER NOT NULL,
    digest BLOB NOT NULL,
    PRIMARY KEY (space, bucket)
) STRICT, WITHOUT ROWID;
