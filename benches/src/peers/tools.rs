//! The tools that are compared, as data: how each is set up, fed, asked and checked, in shell scripts.
//!
//! | variable | what it is |
//! | --- | --- |
//! | `REPO`, `CACHE` | where the tool keeps its data, which is weighed, and anything else |
//! | `SRC` | the directory to back up; also the directory in which the scripts run |
//! | `CHANGES` | the lines that a day changed, by type |
//! | `DAY`, `N` | `day15`, and 15 |
//! | `FILE`, `OBJECT` | the file that holds the object to be read, relative to `SRC`, and the object's id |
//! | `OUT` | an empty directory to restore into |
//! | `BENCH`, `PARENTS` | this program, and its file of parents |
//! | `LEVEL`, `SOLID_LEVEL` | the level of zstd for the changed lines, and for all days |

/// What a tool is fed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// A sorted file of JSON lines for each type, rewritten each day.
    Dumps,
    /// One file for each object; what did not change is not touched.
    Trees,
}

/// Which tables a row is part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// All.
    Always,
    /// Those of days on which nobody signs in.
    Quiet,
    /// Those of small orgs.
    Small,
    /// Those of small orgs in which nobody signs in.
    SmallAndQuiet,
}

/// A tool, or one way of using it.
#[derive(Debug)]
pub(super) struct Tool {
    /// The row's name; `--only` takes parts of it.
    pub(super) name: &'static str,
    /// Whether what it keeps is encrypted.
    pub(super) sealed: bool,
    pub(super) source: Source,
    pub(super) part: Part,
    /// Prints its version; fails where it is not installed.
    pub(super) version: &'static str,
    /// Its settings; `{REPO}`, `{CACHE}` and `{SRC}` are filled in. Only the tool's own processes see them.
    pub(super) environment: &'static [(&'static str, &'static str)],
    pub(super) setup: &'static str,
    /// The first day's backup, where it is not the same as on other days.
    pub(super) first: Option<&'static str>,
    pub(super) daily: &'static str,
    /// What is done besides each so many days, and on the last; 0: only on the last.
    pub(super) upkeep: Option<(u32, &'static str)>,
    pub(super) read: Option<&'static str>,
    pub(super) check: Option<&'static str>,
    pub(super) restore: Option<&'static str>,
}

const PASSWORD: &str = "benchmark, not a secret";

const RESTIC: Tool = Tool {
    name: "restic",
    sealed: true,
    source: Source::Dumps,
    part: Part::Always,
    version: "restic version",
    environment: &[
        ("RESTIC_REPOSITORY", "{REPO}"),
        ("RESTIC_CACHE_DIR", "{CACHE}"),
        ("RESTIC_PASSWORD", PASSWORD),
    ],
    setup: "restic init --quiet",
    first: None,
    daily: "restic backup --quiet --tag \"$DAY\" \"$SRC\"",
    upkeep: None,
    read: Some(
        "restic dump --tag \"$DAY\" latest \"$SRC/$FILE\" | grep -m1 -F \"\\\"id\\\":\\\"$OBJECT\\\"\"",
    ),
    // A read that was cut short (grep had found what it looked for) leaves its lock behind.
    check: Some("restic unlock --quiet && restic check --quiet --read-data"),
    restore: Some("restic restore --quiet --tag \"$DAY\" latest --target \"$OUT\""),
};

const RUSTIC: Tool = Tool {
    name: "rustic",
    sealed: true,
    source: Source::Dumps,
    part: Part::Small,
    version: "rustic --version",
    environment: &[
        ("RUSTIC_REPOSITORY", "{REPO}"),
        ("RUSTIC_CACHE_DIR", "{CACHE}"),
        ("RUSTIC_PASSWORD", PASSWORD),
        ("RUSTIC_NO_PROGRESS", "true"),
    ],
    setup: "rustic init",
    first: None,
    daily: "rustic backup --tag \"$DAY\" \"$SRC\"",
    upkeep: None,
    read: Some(
        "rustic --filter-tags \"$DAY\" dump \"latest:$SRC/$FILE\" | grep -m1 -F \"\\\"id\\\":\\\"$OBJECT\\\"\"",
    ),
    check: Some("rustic check --read-data"),
    restore: Some("rustic --filter-tags \"$DAY\" restore latest \"$OUT\""),
};

const BORG: Tool = Tool {
    name: "borg",
    sealed: true,
    source: Source::Dumps,
    part: Part::Always,
    version: "borg --version",
    environment: &[
        ("BORG_REPO", "{REPO}"),
        ("BORG_BASE_DIR", "{CACHE}"),
        ("BORG_PASSPHRASE", PASSWORD),
    ],
    setup: "borg init --encryption repokey",
    first: None,
    daily: "borg create \"::$DAY\" .",
    upkeep: None,
    read: Some(
        "borg extract --stdout \"::$DAY\" \"$FILE\" | grep -m1 -F \"\\\"id\\\":\\\"$OBJECT\\\"\"",
    ),
    check: Some("borg check --verify-data"),
    restore: Some("cd \"$OUT\"; borg extract \"::$DAY\""),
};

const BUPSTASH: Tool = Tool {
    name: "bupstash",
    sealed: true,
    source: Source::Dumps,
    part: Part::Always,
    version: "bupstash version",
    environment: &[
        ("BUPSTASH_REPOSITORY", "{REPO}"),
        ("BUPSTASH_KEY", "{CACHE}/key"),
        ("BUPSTASH_SEND_LOG", "{CACHE}/sent"),
        ("BUPSTASH_QUERY_CACHE", "{CACHE}/queries"),
    ],
    setup: "bupstash new-key -o \"$BUPSTASH_KEY\"; bupstash init",
    first: None,
    daily: "bupstash put --quiet name=\"$DAY\" .",
    upkeep: None,
    read: Some(
        "bupstash get --quiet --pick \"$FILE\" name=\"$DAY\" | grep -m1 -F \"\\\"id\\\":\\\"$OBJECT\\\"\"",
    ),
    // It has no command for it.
    check: None,
    restore: Some("bupstash restore --quiet --into \"$OUT\" name=\"$DAY\""),
};

const GIT: Tool = Tool {
    name: "git, gc every 5 days",
    sealed: false,
    source: Source::Dumps,
    part: Part::Always,
    version: "git --version",
    environment: &[("GIT_DIR", "{REPO}"), ("GIT_WORK_TREE", "{SRC}")],
    setup: "git init --quiet; git config gc.auto 0; git config user.name bench; git config user.email bench@localhost",
    first: None,
    daily: "git add --all; git commit --quiet -m \"$DAY\"; git tag \"$DAY\"",
    upkeep: Some((5, "git gc --quiet")),
    read: Some("git show \"$DAY:$FILE\" | grep -m1 -F \"\\\"id\\\":\\\"$OBJECT\\\"\""),
    check: Some("git fsck --full --no-progress"),
    restore: Some("git archive \"$DAY\" | tar -x -C \"$OUT\""),
};

const ENGINE: Tool = Tool {
    name: "Orgkeep's engine, rescan of ready NDJSON",
    sealed: true,
    source: Source::Dumps,
    part: Part::Always,
    version: "\"$BENCH\" --version",
    environment: &[],
    setup: "",
    first: None,
    daily: "\"$BENCH\" engine \"$REPO\" ingest \"$SRC\" \"$PARENTS\"",
    upkeep: None,
    read: Some("\"$BENCH\" engine \"$REPO\" read \"$N\" user \"$OBJECT\""),
    check: Some("\"$BENCH\" engine \"$REPO\" check"),
    restore: Some("\"$BENCH\" engine \"$REPO\" export \"$N\" \"$OUT\""),
};

const ENGINE_CHANGES: Tool = Tool {
    name: "Orgkeep's engine, changes given as such",
    first: Some("\"$BENCH\" engine \"$REPO\" ingest \"$SRC\" \"$PARENTS\""),
    daily: "\"$BENCH\" engine \"$REPO\" changes \"$CHANGES\" \"$PARENTS\"",
    ..ENGINE
};

const TAR: Tool = Tool {
    name: "tar + zstd",
    sealed: false,
    source: Source::Dumps,
    part: Part::Small,
    version: "echo \"zstd $(zstd --version | grep -o 'v[0-9.]*[0-9]')\"",
    environment: &[],
    setup: "mkdir \"$REPO\"",
    first: None,
    daily: "tar -c . | zstd -q -o \"$REPO/$DAY.tar.zst\"",
    upkeep: None,
    read: Some(
        "zstd -qdc \"$REPO/$DAY.tar.zst\" | tar -xO \"./$FILE\" | grep -m1 -F \"\\\"id\\\":\\\"$OBJECT\\\"\"",
    ),
    check: Some("zstd -qt \"$REPO\"/*.zst"),
    restore: Some("zstd -qdc \"$REPO/$DAY.tar.zst\" | tar -x -C \"$OUT\""),
};

const ZSTD: &str = "echo \"zstd $(zstd --version | grep -o 'v[0-9.]*[0-9]'), level $LEVEL\"";
const ZSTD_SOLID: &str =
    "echo \"zstd $(zstd --version | grep -o 'v[0-9.]*[0-9]'), level $SOLID_LEVEL\"";

const LIMIT_CHANGES: Tool = Tool {
    name: "limit: zstd --long=31 of day 1 and the changed lines",
    part: Part::Quiet,
    version: ZSTD,
    first: Some(
        "cat \"$SRC\"/*.ndjson > \"$CACHE/kept\"; zstd -q -f \"-$LEVEL\" --long=31 \"$CACHE/kept\" -o \"$REPO/all.zst\"",
    ),
    daily: "cat \"$CHANGES\"/*.ndjson >> \"$CACHE/kept\"",
    upkeep: Some((
        0,
        "zstd -q -f \"-$LEVEL\" --long=31 \"$CACHE/kept\" -o \"$REPO/all.zst\"",
    )),
    read: None,
    check: Some("zstd -qt --long=31 \"$REPO\"/*.zst"),
    restore: None,
    ..TAR
};

const LIMIT_SOLID: Tool = Tool {
    name: "limit: one solid zstd --long=31 of all days",
    part: Part::SmallAndQuiet,
    version: ZSTD_SOLID,
    first: Some(
        "cat \"$SRC\"/*.ndjson > \"$CACHE/kept\"; zstd -q -f \"-$SOLID_LEVEL\" --long=31 \"$CACHE/kept\" -o \"$REPO/all.zst\"",
    ),
    daily: "cat \"$SRC\"/*.ndjson >> \"$CACHE/kept\"",
    upkeep: Some((
        0,
        "zstd -q -f \"-$SOLID_LEVEL\" --long=31 \"$CACHE/kept\" -o \"$REPO/all.zst\"",
    )),
    ..LIMIT_CHANGES
};

/// Every row but those of the daemon.
pub(super) const TOOLS: &[Tool] = &[
    ENGINE,
    ENGINE_CHANGES,
    BUPSTASH,
    RESTIC,
    RUSTIC,
    BORG,
    Tool {
        name: "borg, 2 KiB chunks, zstd",
        part: Part::Small,
        daily: "borg create --chunker-params buzhash,10,16,11,1023 --compression zstd \"::$DAY\" .",
        ..BORG
    },
    GIT,
    TAR,
    Tool {
        name: "bupstash, a file for each object",
        source: Source::Trees,
        part: Part::SmallAndQuiet,
        ..BUPSTASH
    },
    Tool {
        name: "restic, a file for each object",
        source: Source::Trees,
        part: Part::SmallAndQuiet,
        ..RESTIC
    },
    Tool {
        name: "rustic, a file for each object",
        source: Source::Trees,
        part: Part::SmallAndQuiet,
        ..RUSTIC
    },
    Tool {
        name: "borg, a file for each object",
        source: Source::Trees,
        part: Part::SmallAndQuiet,
        ..BORG
    },
    Tool {
        name: "git, gc every 5 days, a file for each object",
        source: Source::Trees,
        part: Part::SmallAndQuiet,
        ..GIT
    },
    LIMIT_CHANGES,
    LIMIT_SOLID,
];
