//! The statements of prune: dropping versions that no snapshot has, following rows to other packs, forgetting snapshots and packs.

use std::collections::{BTreeMap, HashMap};

use rusqlite::{Connection, Transaction, params};

use super::{
    IndexError, PackRow, Place, Result, Space, VERSION_COLUMNS, Version, collect, domain_no,
    each_merged, ensure_domain, insert_packs, integer, lasting, spaces, unsigned,
};
use crate::chunk::Key;
use crate::id::{DomainId, PackId};

/// A pack as prune looks at it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PackState {
    pub(crate) id: PackId,
    pub(crate) epoch: u32,
    pub(crate) bytes: u64,
    pub(crate) doomed: bool,
}

/// Where a row lies after moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// Where it was.
    Stay,
    /// In another pack: the chunk by its place in it, and the row.
    To(PackId, usize, u16),
    /// Nowhere, on purpose: no snapshot has it.
    Dropped,
    /// Nowhere: its content is lost.
    Lost,
}

/// What following moves did to the rows of the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Followed {
    pub(crate) moved: u64,
    pub(crate) dropped: u64,
}

/// The packs of a domain, oldest first.
pub(crate) fn pack_states(connection: &Connection, domain: DomainId) -> Result<Vec<PackState>> {
    let mut statement = connection.prepare_cached(
        "SELECT p.id, p.epoch, p.bytes, p.doomed FROM pack p JOIN domain d ON d.no = p.domain WHERE d.id = ?1 ORDER BY p.no",
    )?;
    collect(statement.query_map([domain.as_bytes()], |row| {
        Ok(PackState {
            id: PackId::from_bytes(row.get(0)?),
            epoch: row.get(1)?,
            bytes: unsigned(row, 2)?,
            doomed: row.get(3)?,
        })
    })?)
}

/// Calls `see` with every version of a space, in order of the keys and of their beginnings.
pub(crate) fn each_version(
    connection: &Connection,
    space: Space,
    see: &mut dyn FnMut(Version),
) -> Result<()> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {VERSION_COLUMNS} FROM version WHERE space = ?1 ORDER BY parent, key, first"
    ))?;
    each_merged(connection, space, &mut statement, see)
}

/// Drops the versions of a domain that were there only between two snapshots, and lets others begin or end with the later one; gives how many were dropped.
///
/// `after` is 0 if there is none before; then what `to` has begins with 1, as everything of a first snapshot does.
pub(crate) fn close_gap(
    transaction: &Transaction<'_>,
    domain: DomainId,
    after: u32,
    to: u32,
) -> Result<u64> {
    let mut dropped = 0;
    for (_, space) in spaces(transaction, domain)? {
        let mut delete = transaction.prepare_cached(
            "DELETE FROM version WHERE space = ?1 AND last IS NOT NULL AND last > ?2 AND last <= ?3 AND first > ?2 \
             RETURNING parent, key",
        )?;
        let keys = collect(delete.query_map(params![space, after, to], |row| {
            Ok(Key {
                parent: row.get(0)?,
                key: row.get(1)?,
            })
        })?)?;
        dropped += keys.len() as u64;
        forget_parents(transaction, space, &keys)?;
        transaction
            .prepare_cached(
                "UPDATE version SET last = ?3 WHERE space = ?1 AND last IS NOT NULL AND last > ?2 AND last < ?3",
            )?
            .execute(params![space, after, to])?;
        if after == 0 {
            transaction
                .prepare_cached(
                    "UPDATE version SET first = 1 WHERE space = ?1 AND first > 1 AND first <= ?2",
                )?
                .execute(params![space, to])?;
        } else {
            transaction
                .prepare_cached(
                    "UPDATE version SET first = ?3 WHERE space = ?1 AND first > 1 AND first > ?2 AND first < ?3",
                )?
                .execute(params![space, after, to])?;
        }
    }
    Ok(dropped)
}

/// Forgets the parents of objects that have no version under them.
fn forget_parents(transaction: &Transaction<'_>, space: Space, keys: &[Key]) -> Result<()> {
    let mut forget = transaction.prepare_cached(
        "DELETE FROM parentage WHERE space = ?1 AND key = ?2 AND parent = ?3 AND NOT EXISTS \
         (SELECT 1 FROM version WHERE space = ?1 AND parent = ?3 AND key = ?2)",
    )?;
    for key in keys {
        forget.execute(params![space, key.key, key.parent])?;
    }
    Ok(())
}

/// Forgets the snapshots between two: those after `after` and before `to`.
pub(crate) fn forget_snapshots(
    transaction: &Transaction<'_>,
    domain: DomainId,
    after: u32,
    to: u32,
) -> Result<u64> {
    let Some(no) = domain_no(transaction, domain)? else {
        return Ok(0);
    };
    Ok(transaction.execute(
        "DELETE FROM snapshot WHERE domain = ?1 AND sequence > ?2 AND sequence < ?3",
        params![no, after, to],
    )? as u64)
}

/// Sets what a snapshot counts of each type.
pub(crate) fn set_counts(
    transaction: &Transaction<'_>,
    domain: DomainId,
    sequence: u32,
    counts: &BTreeMap<u16, u64>,
) -> Result<()> {
    let counts = serde_json::to_string(counts).map_err(|_| IndexError::Broken {
        what: "counts that cannot be written",
    })?;
    if let Some(no) = domain_no(transaction, domain)? {
        transaction.execute(
            "UPDATE snapshot SET counts = ?3 WHERE domain = ?1 AND sequence = ?2",
            params![no, sequence, counts],
        )?;
    }
    Ok(())
}

/// Lets every version and every bucket of observations that lies in one of `old` point to where its row lies now.
///
/// `targets` are the packs that rows lie in now, as far as the index may not know them.
pub(crate) fn follow(
    transaction: &Transaction<'_>,
    domain: DomainId,
    old: &[PackId],
    targets: &[PackRow],
    target: &dyn Fn(PackId, usize, u16) -> Target,
) -> Result<Followed> {
    let no = ensure_domain(transaction, domain)?;
    insert_packs(transaction, no, targets)?;
    let mut chunks: HashMap<i64, (PackId, usize)> = HashMap::new();
    let mut numbers: HashMap<(PackId, usize), i64> = HashMap::new();
    {
        let mut all = transaction.prepare_cached(
            "SELECT c.no, p.id, c.place FROM chunk c JOIN pack p ON p.no = c.pack WHERE p.domain = ?1",
        )?;
        let rows = all.query_map([no], |row| {
            let pack = PackId::from_bytes(row.get(1)?);
            Ok((row.get::<_, i64>(0)?, (pack, unsigned(row, 2)?)))
        })?;
        for row in rows {
            let (chunk, place): (i64, (PackId, usize)) = row?;
            if old.contains(&place.0) {
                chunks.insert(chunk, place);
            }
            numbers.insert(place, chunk);
        }
    }
    let number = |pack, chunk| {
        numbers
            .get(&(pack, chunk))
            .copied()
            .ok_or(IndexError::Broken {
                what: "no row for a chunk that rows were moved to",
            })
    };
    let mut followed = Followed::default();
    for (_, space) in spaces(transaction, domain)? {
        let mut found: Vec<(Version, Place, PackId, usize)> = Vec::new();
        each_version(transaction, space, &mut |version| {
            if let Some((place, _)) = version.body
                && let Some((pack, chunk)) = chunks.get(&place.chunk())
            {
                found.push((version, place, *pack, *chunk));
            }
        })?;
        let mut point = transaction.prepare_cached(
            "UPDATE version SET place = ?5 WHERE space = ?1 AND parent = ?2 AND key = ?3 AND first = ?4",
        )?;
        let mut delete = transaction.prepare_cached(
            "DELETE FROM version WHERE space = ?1 AND parent = ?2 AND key = ?3 AND first = ?4",
        )?;
        let mut lasting = lasting::Editor::new(transaction, space);
        let mut dropped = Vec::new();
        for (version, place, pack, chunk) in found {
            let Key { parent, key } = version.key;
            let to = match target(pack, chunk, place.ordinal()) {
                Target::Stay => continue,
                Target::To(pack, chunk, ordinal) => Place::new(number(pack, chunk)?, ordinal),
                Target::Lost => Place::LOST,
                Target::Dropped => {
                    if delete.execute(params![space, parent, key, version.first])? == 0 {
                        lasting.take(version.key)?;
                    }
                    dropped.push(version.key);
                    continue;
                }
            };
            if point.execute(params![space, parent, key, version.first, to.0])? == 0 {
                lasting.point(version.key, to)?;
            }
            followed.moved += 1;
        }
        lasting.finish()?;
        followed.dropped += dropped.len() as u64;
        forget_parents(transaction, space, &dropped)?;
        for (bucket, chunk, _) in super::observations(transaction, space)? {
            let Some((pack, place)) = chunks.get(&chunk) else {
                continue;
            };
            match target(*pack, *place, 0) {
                Target::Stay => {}
                Target::To(pack, place, _) => {
                    transaction.execute(
                        "UPDATE observation SET chunk = ?3 WHERE space = ?1 AND bucket = ?2",
                        params![space, bucket, number(pack, place)?],
                    )?;
                }
                Target::Dropped | Target::Lost => {
                    followed.dropped += 1;
                    transaction.execute(
                        "DELETE FROM observation WHERE space = ?1 AND bucket = ?2",
                        params![space, bucket],
                    )?;
                }
            }
        }
    }
    Ok(followed)
}

/// Marks packs as doomed.
pub(crate) fn doom(transaction: &Transaction<'_>, packs: &[PackId]) -> Result<()> {
    let mut mark = transaction.prepare_cached("UPDATE pack SET doomed = 1 WHERE id = ?1")?;
    for pack in packs {
        mark.execute([pack.as_bytes()])?;
    }
    Ok(())
}

/// Forgets packs whose blobs are gone.
pub(crate) fn forget_packs(transaction: &Transaction<'_>, packs: &[PackId]) -> Result<()> {
    let mut chunks = transaction
        .prepare_cached("DELETE FROM chunk WHERE pack IN (SELECT no FROM pack WHERE id = ?1)")?;
    let mut forget = transaction.prepare_cached("DELETE FROM pack WHERE id = ?1")?;
    for pack in packs {
        chunks.execute([pack.as_bytes()])?;
        forget.execute([pack.as_bytes()])?;
    }
    Ok(())
}

/// How many bytes of a chunk of `bytes` are needed if `live` of its `rows` are.
pub(crate) fn share(bytes: usize, live: usize, rows: usize) -> u64 {
    let whole = integer(bytes).max(0);
    let (live, rows) = (integer(live).max(0), integer(rows).max(1));
    (whole.saturating_mul(live.min(rows)) / rows).unsigned_abs()
}
