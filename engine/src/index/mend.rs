//! What repair reads from the index and changes in it.

use std::collections::{BTreeSet, HashMap};

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::{
    Place, Result, Space, VERSION_COLUMNS, Version, collect, integer, lasting, spaces, unsigned,
};
use crate::chunk::Key;
use crate::id::{DomainId, SnapshotId};

/// The versions of all times whose bodies lie in a chunk, in order of their places.
pub(crate) fn versions_in_chunk(
    connection: &Connection,
    space: Space,
    chunk: i64,
) -> Result<Vec<Version>> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {VERSION_COLUMNS} FROM version WHERE space = ?1 AND place >= ?2 AND place < ?3 ORDER BY place, first"
    ))?;
    let mut lasting = lasting::after(connection, space, None, usize::MAX)?;
    lasting.retain(|version| place(version).is_some_and(|at| at.chunk() == chunk));
    let mut versions = collect(statement.query_map(
        params![space, chunk << 16, (chunk + 1) << 16],
        Version::read,
    )?)?;
    let known: BTreeSet<Key> = versions.iter().map(|version| version.key).collect();
    versions.extend(
        lasting
            .into_iter()
            .filter(|version| !known.contains(&version.key)),
    );
    versions.sort_by_key(|version| (place(version), version.first));
    Ok(versions)
}

fn place(version: &Version) -> Option<Place> {
    version.body.map(|(place, _)| place)
}

/// The versions that begin with a snapshot, in order of their keys.
pub(crate) fn versions_beginning(
    connection: &Connection,
    space: Space,
    sequence: u32,
) -> Result<Vec<Version>> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {VERSION_COLUMNS} FROM version WHERE space = ?1 AND first = ?2 ORDER BY parent, key"
    ))?;
    collect(statement.query_map(params![space, sequence], Version::read)?)
}

/// The versions that a snapshot is the first not to have, in order of their keys.
pub(crate) fn versions_ending(
    connection: &Connection,
    space: Space,
    sequence: u32,
) -> Result<Vec<Version>> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {VERSION_COLUMNS} FROM version WHERE space = ?1 AND last IS NOT NULL AND last = ?2 ORDER BY parent, key"
    ))?;
    collect(statement.query_map(params![space, sequence], Version::read)?)
}

/// Notes that a snapshot's record has other bytes now.
pub(crate) fn set_record_bytes(
    transaction: &Transaction<'_>,
    snapshot: SnapshotId,
    bytes: u64,
) -> Result<()> {
    transaction.execute(
        "UPDATE snapshot SET record_bytes = ?2 WHERE id = ?1",
        params![snapshot.as_bytes(), integer(bytes)],
    )?;
    Ok(())
}

/// Notes that a version has other content now.
pub(crate) fn set_fingerprint(
    transaction: &Transaction<'_>,
    space: Space,
    key: Key,
    first: u32,
    fingerprint: i64,
) -> Result<()> {
    let changed = transaction
        .prepare_cached(
            "UPDATE version SET fingerprint = ?5 WHERE space = ?1 AND parent = ?2 AND key = ?3 AND first = ?4",
        )?
        .execute(params![space, key.parent, key.key, first, fingerprint])?;
    if changed == 0 {
        let mut lasting = lasting::Editor::new(transaction, space);
        lasting.set_fingerprint(key, fingerprint)?;
        lasting.finish()?;
    }
    Ok(())
}

/// About how many bytes of chunks hold versions that none of the `live` snapshots (by sequence number, in order) has.
///
/// Looks only at versions that have ended.
pub(crate) fn reclaimable_bytes(
    connection: &Connection,
    domain: DomainId,
    live: &[u32],
) -> Result<u64> {
    let mut dead: HashMap<i64, u64> = HashMap::new();
    let mut ended = connection.prepare_cached(
        "SELECT place >> 16, first, last FROM version WHERE space = ?1 AND last IS NOT NULL AND place IS NOT NULL",
    )?;
    for (_, space) in spaces(connection, domain)? {
        let mut rows = ended.query([space])?;
        while let Some(row) = rows.next()? {
            let (chunk, first, last): (i64, u32, u32) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let next = live.partition_point(|sequence| *sequence < first);
            if live.get(next).is_none_or(|sequence| *sequence >= last) {
                *dead.entry(chunk).or_default() += 1;
            }
        }
    }
    let mut weight =
        connection.prepare_cached("SELECT bytes, \"rows\" FROM chunk WHERE no = ?1")?;
    let mut bytes = 0;
    for (chunk, dead) in dead {
        let found: Option<(u64, u64)> = weight
            .query_row([chunk], |row| Ok((unsigned(row, 0)?, unsigned(row, 1)?)))
            .optional()?;
        if let Some((chunk_bytes, rows)) = found {
            bytes += chunk_bytes * dead.min(rows) / rows.max(1);
        }
    }
    Ok(bytes)
}
