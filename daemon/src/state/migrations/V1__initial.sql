-- What the daemon keeps for itself. No name, e-mail or other profile value stands here in the clear:
-- columns called "sealed" hold bytes that the state key seals.

-- Single facts: the wrapped state key, the number of starts.
CREATE TABLE facts (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
) WITHOUT ROWID;

-- Registered domains. "record" is JSON without secrets; credentials inside it are sealed.
CREATE TABLE domains (
    id     TEXT PRIMARY KEY,
    name   TEXT NOT NULL UNIQUE,
    org_id TEXT NOT NULL UNIQUE,
    record TEXT NOT NULL
) WITHOUT ROWID;

-- Domains that were removed and whose data is kept.
CREATE TABLE forgotten (
    id     TEXT PRIMARY KEY,
    org_id TEXT NOT NULL UNIQUE,
    record TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE jobs (
    n            INTEGER PRIMARY KEY AUTOINCREMENT,
    id           TEXT NOT NULL UNIQUE,
    domain_id    TEXT,
    domain       TEXT,
    kind         TEXT NOT NULL,
    "trigger"    TEXT NOT NULL,
    state        TEXT NOT NULL,
    created_at   TEXT NOT NULL,
    started_at   TEXT,
    finished_at  TEXT,
    attempts     INTEGER NOT NULL DEFAULT 0,
    mode         TEXT,
    params       BLOB,           -- sealed
    progress     TEXT,
    error_code   TEXT,
    error_detail BLOB,           -- sealed
    result       BLOB,           -- sealed
    warnings     BLOB,           -- sealed
    report       BLOB            -- sealed
);
CREATE INDEX jobs_by_state ON jobs (state, n);
CREATE INDEX jobs_by_domain ON jobs (domain_id, kind, n);

CREATE TABLE plans (
    id         TEXT PRIMARY KEY,
    domain_id  TEXT NOT NULL,
    snapshot   TEXT NOT NULL,
    created_at TEXT NOT NULL,
    expires_at TEXT NOT NULL,
    digest     TEXT NOT NULL,
    job        TEXT,             -- the job that applies it, once there is one
    body       BLOB NOT NULL     -- sealed
) WITHOUT ROWID;

-- The restore journal: appended before and after each action.
CREATE TABLE journal (
    job    TEXT NOT NULL,
    n      INTEGER NOT NULL,
    record BLOB NOT NULL,        -- sealed
    PRIMARY KEY (job, n)
) WITHOUT ROWID;

-- What became of ids that were created again. "name" is a keyed hash of type and old id.
CREATE TABLE id_map (
    domain_id TEXT NOT NULL,
    name      BLOB NOT NULL,
    pair      BLOB NOT NULL,     -- sealed
    PRIMARY KEY (domain_id, name)
) WITHOUT ROWID;

-- Each row's hash covers the row and the hash before it.
CREATE TABLE audit (
    seq     INTEGER PRIMARY KEY,
    at      TEXT NOT NULL,
    uid     INTEGER,
    gid     INTEGER,
    pid     INTEGER,
    action  TEXT NOT NULL,
    target  TEXT,
    outcome TEXT NOT NULL,
    prev    BLOB NOT NULL,
    hash    BLOB NOT NULL
);
