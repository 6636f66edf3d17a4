//! The index is rebuilt from blobs and keys alone.

use rusqlite::types::{Value, ValueRef};

use super::domain::{NAME_SEAL, WATERMARK_SEAL};
use super::*;
use crate::chunk::Key;

/// What each table says, without the numbers that mean something in one index only.
const TABLES: [(&str, &str); 10] = [
    (
        "chunk",
        "SELECT p.id, c.place, c.kind, c.type, c.\"offset\", c.bytes, c.\"rows\" FROM chunk c JOIN pack p ON p.no = c.pack",
    ),
    ("domain", "SELECT id FROM domain"),
    (
        // How versions are put together in rows depends on when they were: they are compared one by one, as versions.
        "lasting",
        "SELECT 1 WHERE 0",
    ),
    (
        "name",
        "SELECT d.id, t.number, t.text FROM name t JOIN domain d ON d.no = t.domain",
    ),
    (
        "observation",
        "SELECT d.id, s.type, t.bucket, p.id, c.place, t.digest FROM observation t JOIN space s ON s.no = t.space \
         JOIN domain d ON d.no = s.domain JOIN chunk c ON c.no = t.chunk JOIN pack p ON p.no = c.pack",
    ),
    (
        "pack",
        "SELECT d.id, t.id, t.epoch, t.bytes, t.doomed FROM pack t JOIN domain d ON d.no = t.domain",
    ),
    (
        "parentage",
        // Of what was only in removed snapshots some may be left: it names no version.
        "SELECT d.id, s.type, t.key, t.parent FROM parentage t JOIN space s ON s.no = t.space JOIN domain d ON d.no = s.domain \
         WHERE EXISTS (SELECT 1 FROM every_version v WHERE v.space = t.space AND v.parent = t.parent AND v.key = t.key)",
    ),
    (
        "snapshot",
        "SELECT d.id, t.sequence, t.id, t.parent, t.created_at, t.as_of, t.pinned, t.removed, t.changes, t.bytes_new, \
         t.record_bytes, t.coverage, t.counts, t.watermark FROM snapshot t JOIN domain d ON d.no = t.domain",
    ),
    (
        "space",
        "SELECT d.id, t.type FROM space t JOIN domain d ON d.no = t.domain",
    ),
    (
        "version",
        "SELECT d.id, s.type, t.parent, t.key, t.first, t.last, p.id, c.place, t.place & 65535, t.fingerprint FROM every_version t \
         JOIN space s ON s.no = t.space JOIN domain d ON d.no = s.domain LEFT JOIN chunk c ON c.no = t.place >> 16 \
         LEFT JOIN pack p ON p.no = c.pack",
    ),
];

/// The rows of each table.
pub(super) type Dump = BTreeMap<&'static str, Vec<String>>;

/// Everything that an index says, row by row, with what is sealed in it opened.
pub(super) fn dump(index: &Path, domain: &DomainStore) -> Dump {
    let connection = rusqlite::Connection::open(index).unwrap();
    let keys = &domain.shared.keys;
    let mut names = connection
        .prepare("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name")
        .unwrap();
    let names: Vec<String> = names
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(
        names,
        TABLES.map(|(name, _)| name),
        "every table is compared"
    );
    connection
        .execute_batch("CREATE TEMP TABLE every_version AS SELECT * FROM version")
        .unwrap();
    for (_, space) in index::spaces(&connection, DOMAIN).unwrap() {
        index::prune::each_version(&connection, space, &mut |version| {
            let (place, fingerprint) = version.body.unzip();
            let place = place.map(|place| place.chunk() << 16 | i64::from(place.ordinal()));
            let Key { parent, key } = version.key;
            let row = rusqlite::params![space, parent, key, version.first, version.last, place, fingerprint];
            let known = "SELECT 1 FROM version WHERE space = ?1 AND parent = ?2 AND key = ?3 AND first = ?4";
            if !connection.prepare(known).unwrap().exists(&row[..4]).unwrap() {
                connection.execute("INSERT INTO every_version VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)", row).unwrap();
            }
        })
        .unwrap();
    }
    let mut dump = BTreeMap::new();
    for (table, sql) in TABLES {
        let mut statement = connection.prepare(sql).unwrap();
        let columns = statement.column_count();
        let rows = statement.query_map([], |row| {
            let mut text = String::new();
            for column in 0..columns {
                let value = match (table, column, row.get_ref(column)?) {
                    ("name", 2, ValueRef::Blob(sealed)) => {
                        Value::Blob(keys.open_for_index(NAME_SEAL, sealed).unwrap().to_vec())
                    }
                    ("snapshot", 13, ValueRef::Blob(sealed)) => Value::Blob(
                        keys.open_for_index(WATERMARK_SEAL, sealed)
                            .unwrap()
                            .to_vec(),
                    ),
                    (_, _, value) => Value::try_from(value)?,
                };
                text.push_str(&format!("{value:?} "));
            }
            Ok(text)
        });
        let mut rows: Vec<String> = rows.unwrap().map(Result::unwrap).collect();
        let joined = rows.len();
        let counted: i64 = connection
            .query_row(
                &format!(
                    "SELECT count(*) FROM {}",
                    if table == "version" {
                        "every_version"
                    } else {
                        table
                    }
                ),
                [],
                |row| row.get(0),
            )
            .unwrap();
        assert!(
            i64::try_from(joined).unwrap() == counted || ["lasting", "parentage"].contains(&table),
            "every row of {table} belongs to something"
        );
        rows.sort();
        dump.insert(table, rows);
    }
    dump
}

/// Compares what two indexes say; tells only where they differ.
pub(super) fn assert_same(found: &Dump, rebuilt: &Dump) {
    let mut differences = Vec::new();
    for (table, _) in TABLES {
        let (one, other): (BTreeSet<_>, BTreeSet<_>) = (
            found[table].iter().collect(),
            rebuilt[table].iter().collect(),
        );
        let only =
            |one: &BTreeSet<&String>, other: &BTreeSet<&String>, which: &str| -> Vec<String> {
                let rows = one.difference(other);
                rows.map(|row| format!("{which} has in {table}: {row}"))
                    .collect()
            };
        differences.extend(only(&one, &other, "the index"));
        differences.extend(only(&other, &one, "the rebuilt one"));
    }
    assert_eq!(differences, [""; 0]);
}

/// What an index says that another process makes of the blobs.
pub(super) fn dump_rebuilt(blobs: &Arc<dyn BlobStore>, provider: &FileProvider) -> Dump {
    let dir = tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap());
    let path = dir.path().join("index.db");
    let store = Store::open(Arc::clone(blobs), &path).unwrap();
    let domain = store.open_domain(DOMAIN, provider).unwrap();
    dump(&path, &domain)
}

#[test]
fn a_snapshot_whose_index_rows_were_lost_is_read_in() {
    let ops = two_backups();
    let first = model(&State::new(), &ops[0]);
    let states = [first.clone(), model(&first, &ops[1])];
    let (bench, _) = Bench::in_memory();
    let (store, domain) = bench.open();
    write(&domain, &ops[0], 1000).unwrap();
    store.checkpoint_wal().unwrap();
    let kept = std::fs::read(bench.index()).unwrap();
    write(&domain, &ops[1], 2000).unwrap();
    drop((store, domain));
    bench.lose_index();
    std::io::Write::write_all(&mut std::fs::File::create(bench.index()).unwrap(), &kept).unwrap();
    assert_eq!(is_whole(&bench, &states), 2);
}
