//! Versions that are there since the first snapshot and still are, many to a row.
//!
//! They are nearly all that an org has. As a row of `version` one with a body takes 31 bytes and a relation 21; here they take
//! about 11 and 1.2. When one ends it becomes a row of `version`. Those that begin later are rows of `version` from the start,
//! because differences are found by their beginnings; and a version that could be here may be a row of `version` instead.
//!
//! Whoever reads both reads these first: a commit between two statements can only move a version from here to there, so that it is found in
//! one of them, or in both, where the row counts.
//!
//! `versions` is a byte that says whether they have bodies, then for each version, in order: the difference of its key from the one
//! before (of the first from the row's `key`) as a varint, and with a body the signed difference of its place from the one before
//! (of the first from 0) as a varint, and 8 bytes of fingerprint, lowest first.

use rusqlite::{CachedStatement, Connection, OptionalExtension, Row, Rows, Transaction, params};

use super::{IndexError, Place, Result, Space, Version};
use crate::chunk::Key;
use crate::codec::{DecodeError, Decoder, put_i64, put_u64};

/// So many versions are put in one row: some 300 to 450 bytes, so that pages get full, and rows are quickly written anew.
const WITH_BODIES_MAX: usize = 40;
const WITHOUT_BODIES_MAX: usize = 256;

const WHAT: &str = "lasting versions";

const BROKEN: IndexError = IndexError::Broken {
    what: "lasting versions that cannot be read",
};

/// Where a body lies, and its fingerprint.
type Body = (Place, i64);

/// One row of the table.
struct Block {
    parent: u32,
    /// At most the first of its keys.
    from: u32,
    versions: Vec<(u32, Option<Body>)>,
}

impl Block {
    fn read(row: &Row<'_>) -> Result<Self> {
        let from = row.get(1)?;
        let packed = row.get_ref(2)?.as_blob().map_err(|_| BROKEN)?;
        Ok(Self {
            parent: row.get(0)?,
            from,
            versions: unpack(from, packed).map_err(|_| BROKEN)?,
        })
    }

    fn packed(&self) -> Vec<u8> {
        let has_bodies = self.has_bodies();
        let mut out = Vec::with_capacity(1 + self.versions.len() * if has_bodies { 12 } else { 2 });
        out.push(u8::from(has_bodies));
        let mut last = (self.from, 0i64);
        for (key, body) in &self.versions {
            put_u64(&mut out, u64::from(key.saturating_sub(last.0)));
            last.0 = *key;
            if let Some((place, fingerprint)) = body {
                put_i64(&mut out, place.0.wrapping_sub(last.1));
                last.1 = place.0;
                out.extend_from_slice(&fingerprint.to_le_bytes());
            }
        }
        out
    }

    fn has_bodies(&self) -> bool {
        self.versions
            .first()
            .is_some_and(|(_, body)| body.is_some())
    }

    /// Whether one more may follow in the same row.
    fn takes(&self, key: Key, body: Option<Body>) -> bool {
        let most = if body.is_some() {
            WITH_BODIES_MAX
        } else {
            WITHOUT_BODIES_MAX
        };
        self.parent == key.parent
            && self.has_bodies() == body.is_some()
            && self.versions.len() < most
    }

    fn versions(&self) -> impl Iterator<Item = Version> {
        let parent = self.parent;
        self.versions.iter().map(move |(key, body)| Version {
            key: Key { parent, key: *key },
            first: 1,
            last: None,
            body: *body,
        })
    }

    fn place_of(&self, key: Key) -> Option<usize> {
        let found = self
            .versions
            .binary_search_by_key(&key.key, |(key, _)| *key);
        found.ok().filter(|_| self.parent == key.parent)
    }
}

fn unpack(from: u32, packed: &[u8]) -> std::result::Result<Vec<(u32, Option<Body>)>, DecodeError> {
    let mut packed = Decoder::new(packed, WHAT);
    let has_bodies = packed.u8()? != 0;
    let mut versions = Vec::with_capacity(packed.rest().len() / if has_bodies { 10 } else { 1 });
    let mut last = (from, 0i64);
    while !packed.rest().is_empty() {
        let difference = packed.u32()?;
        last.0 = u32::checked_add(last.0, difference).ok_or(packed.broken())?;
        let body = if has_bodies {
            last.1 = last.1.wrapping_add(packed.i64()?);
            Some((Place(last.1), i64::from_le_bytes(packed.array()?)))
        } else {
            None
        };
        versions.push((last.0, body));
    }
    Ok(versions)
}

const AROUND: &str = "SELECT parent, key, versions FROM lasting WHERE space = ?1 AND parent = ?2 AND key <= ?3 \
     ORDER BY key DESC LIMIT 1";

/// The row in which a version lies if it lies in any.
fn around(connection: &Connection, space: Space, key: Key) -> Result<Option<Block>> {
    let mut statement = connection.prepare_cached(AROUND)?;
    let mut rows = statement.query(params![space, key.parent, key.key])?;
    rows.next()?.map(Block::read).transpose()
}

/// The version of an object, if it is among them.
pub(super) fn find(connection: &Connection, space: Space, key: Key) -> Result<Option<Version>> {
    let block = around(connection, space, key)?;
    Ok(block.and_then(|block| block.versions().find(|version| version.key == key)))
}

/// Those under one parent, in order.
pub(super) fn under(connection: &Connection, space: Space, parent: u32) -> Result<Vec<Version>> {
    let mut statement = connection.prepare_cached(
        "SELECT parent, key, versions FROM lasting WHERE space = ?1 AND parent = ?2 ORDER BY key",
    )?;
    let mut rows = statement.query(params![space, parent])?;
    let mut versions = Vec::new();
    while let Some(row) = rows.next()? {
        versions.extend(Block::read(row)?.versions());
    }
    Ok(versions)
}

/// Up to `limit` of them in order, those after `after`.
pub(super) fn after(
    connection: &Connection,
    space: Space,
    after: Option<Key>,
    limit: usize,
) -> Result<Vec<Version>> {
    let mut versions = Vec::new();
    if let Some(after) = after
        && let Some(block) = around(connection, space, after)?
    {
        versions.extend(block.versions().filter(|version| version.key > after));
    }
    let mut statement = connection.prepare_cached(
        "SELECT parent, key, versions FROM lasting WHERE space = ?1 AND (parent, key) > (?2, ?3) ORDER BY parent, key",
    )?;
    let (parent, key) = after.map_or((-1, -1), |after| {
        (i64::from(after.parent), i64::from(after.key))
    });
    let mut rows = statement.query(params![space, parent, key])?;
    while versions.len() < limit {
        let Some(row) = rows.next()? else { break };
        versions.extend(Block::read(row)?.versions());
    }
    versions.truncate(limit);
    Ok(versions)
}

/// The first parent above `above` that has some.
pub(super) fn next_parent(
    connection: &Connection,
    space: Space,
    above: u32,
) -> Result<Option<u32>> {
    let mut statement = connection.prepare_cached(
        "SELECT parent FROM lasting WHERE space = ?1 AND parent > ?2 ORDER BY parent LIMIT 1",
    )?;
    Ok(statement
        .query_row(params![space, above], |row| row.get(0))
        .optional()?)
}

/// Puts them among other versions, both in order of their keys; of one key the other version counts.
pub(super) fn merged(versions: Vec<Version>, lasting: Vec<Version>) -> Vec<Version> {
    if lasting.is_empty() {
        return versions;
    }
    let mut all = Vec::with_capacity(versions.len() + lasting.len());
    let mut lasting = lasting.into_iter().peekable();
    for version in versions {
        while let Some(before) = lasting.next_if(|before| before.key < version.key) {
            all.push(before);
        }
        lasting.next_if(|moved| moved.key == version.key);
        all.push(version);
    }
    all.extend(lasting);
    all
}

/// Reads all of a space one by one, in order.
pub(super) struct Each<'rows> {
    rows: Rows<'rows>,
    block: std::vec::IntoIter<Version>,
    next: Option<Version>,
}

impl<'rows> Each<'rows> {
    /// The statement that [`new`](Self::new) takes.
    pub(super) fn statement(connection: &Connection) -> Result<CachedStatement<'_>> {
        Ok(connection.prepare_cached(
            "SELECT parent, key, versions FROM lasting WHERE space = ?1 ORDER BY parent, key",
        )?)
    }

    pub(super) fn new(statement: &'rows mut CachedStatement<'_>, space: Space) -> Result<Self> {
        let mut each = Self {
            rows: statement.query([space])?,
            block: Vec::new().into_iter(),
            next: None,
        };
        each.advance()?;
        Ok(each)
    }

    fn advance(&mut self) -> Result<()> {
        self.next = self.block.next();
        while self.next.is_none() {
            let Some(row) = self.rows.next()? else { break };
            let versions: Vec<Version> = Block::read(row)?.versions().collect();
            self.block = versions.into_iter();
            self.next = self.block.next();
        }
        Ok(())
    }

    /// Shows those before a key, or all that are left.
    pub(super) fn show_before(
        &mut self,
        key: Option<Key>,
        see: &mut dyn FnMut(Version),
    ) -> Result<()> {
        while let Some(next) = self
            .next
            .filter(|next| key.is_none_or(|key| next.key < key))
        {
            see(next);
            self.advance()?;
        }
        Ok(())
    }
}

/// Adds versions that a first snapshot has.
///
/// They come in order, over several beginnings; what is out of order is refused.
pub(super) struct Begin<'a> {
    transaction: &'a Transaction<'a>,
    space: Space,
    last: Option<Key>,
    open: Option<Block>,
}

impl<'a> Begin<'a> {
    pub(super) fn new(transaction: &'a Transaction<'_>, space: Space) -> Result<Self> {
        let mut statement = transaction.prepare_cached(
            "SELECT parent, key, versions FROM lasting WHERE space = ?1 ORDER BY parent DESC, key DESC LIMIT 1",
        )?;
        let mut rows = statement.query([space])?;
        let block = rows.next()?.map(Block::read).transpose()?;
        Ok(Self {
            transaction,
            space,
            last: block.and_then(|block| block.versions().last().map(|version| version.key)),
            open: None,
        })
    }

    /// Takes one up, and tells whether it did: otherwise it has to become a row of `version`.
    pub(super) fn take_up(&mut self, key: Key, body: Option<Body>) -> Result<bool> {
        if self.last.is_some_and(|last| key <= last) {
            return Ok(false);
        }
        self.last = Some(key);
        match &mut self.open {
            Some(block) if block.takes(key, body) => block.versions.push((key.key, body)),
            _ => {
                self.put()?;
                self.open = Some(Block {
                    parent: key.parent,
                    from: key.key,
                    versions: vec![(key.key, body)],
                });
            }
        }
        Ok(true)
    }

    fn put(&mut self) -> Result<()> {
        if let Some(block) = self.open.take() {
            self.transaction
                .prepare_cached(
                    "INSERT INTO lasting (space, parent, key, versions) VALUES (?1, ?2, ?3, ?4)",
                )?
                .execute(params![
                    self.space,
                    block.parent,
                    block.from,
                    block.packed()
                ])?;
        }
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<()> {
        self.put()
    }
}

/// Changes versions; those that follow each other in order cost one write a row.
pub(super) struct Editor<'a> {
    transaction: &'a Transaction<'a>,
    space: Space,
    open: Option<Block>,
    changed: bool,
}

impl<'a> Editor<'a> {
    pub(super) fn new(transaction: &'a Transaction<'_>, space: Space) -> Self {
        Self {
            transaction,
            space,
            open: None,
            changed: false,
        }
    }

    /// Takes one out, which has ended or goes elsewhere; `None` if it is not there.
    pub(super) fn take(&mut self, key: Key) -> Result<Option<Version>> {
        let Some((block, at)) = self.at(key)? else {
            return Ok(None);
        };
        let (_, body) = block.versions.remove(at);
        self.changed = true;
        Ok(Some(Version {
            key,
            first: 1,
            last: None,
            body,
        }))
    }

    /// Says where a body lies now; tells whether it is there.
    pub(super) fn point(&mut self, key: Key, to: Place) -> Result<bool> {
        self.change(key, &mut |(place, _)| *place = to)
    }

    /// Says that the content is another; tells whether it is there.
    pub(super) fn set_fingerprint(&mut self, key: Key, to: i64) -> Result<bool> {
        self.change(key, &mut |(_, fingerprint)| *fingerprint = to)
    }

    fn change(&mut self, key: Key, change: &mut dyn FnMut(&mut Body)) -> Result<bool> {
        let Some((block, at)) = self.at(key)? else {
            return Ok(false);
        };
        let body = block
            .versions
            .get_mut(at)
            .and_then(|(_, body)| body.as_mut());
        let Some(body) = body else { return Ok(false) };
        change(body);
        self.changed = true;
        Ok(true)
    }

    fn at(&mut self, key: Key) -> Result<Option<(&mut Block, usize)>> {
        let known = self.open.as_ref().and_then(|block| block.place_of(key));
        if known.is_none() {
            self.put()?;
            self.open = around(self.transaction, self.space, key)?;
        }
        let Some(block) = &mut self.open else {
            return Ok(None);
        };
        Ok(block.place_of(key).map(|at| (block, at)))
    }

    fn put(&mut self) -> Result<()> {
        let Some(block) = self.open.take().filter(|_| self.changed) else {
            return Ok(());
        };
        self.changed = false;
        if block.versions.is_empty() {
            self.transaction
                .prepare_cached(
                    "DELETE FROM lasting WHERE space = ?1 AND parent = ?2 AND key = ?3",
                )?
                .execute(params![self.space, block.parent, block.from])?;
        } else {
            self.transaction
                .prepare_cached(
                    "UPDATE lasting SET versions = ?4 WHERE space = ?1 AND parent = ?2 AND key = ?3",
                )?
                .execute(params![self.space, block.parent, block.from, block.packed()])?;
        }
        Ok(())
    }

    /// Writes what was changed last. Without it that is as it was.
    pub(super) fn finish(mut self) -> Result<()> {
        self.put()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use rusqlite::StatementStatus;

    use super::*;
    use crate::index::Index;

    const SPACE: Space = 3;

    type Versions = BTreeMap<Key, Option<Body>>;

    /// Under even parents with bodies, under odd ones without.
    fn versions() -> impl Strategy<Value = Versions> {
        let key = (0u32..4, 0u32..900).prop_map(|(parent, key)| Key { parent, key });
        let body = (0i64..1 << 40, any::<i64>()).prop_map(|(place, of)| (Place(place), of));
        proptest::collection::btree_map(key, body, 0..1200).prop_map(|all| {
            let body = |key: &Key, body| (key.parent.is_multiple_of(2)).then_some(body);
            all.into_iter()
                .map(|(key, of)| (key, body(&key, of)))
                .collect()
        })
    }

    fn as_map(versions: &[Version]) -> Versions {
        versions
            .iter()
            .map(|version| (version.key, version.body))
            .collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_put_in_is_there_as_it_was_changed_until_it_is_taken(
            versions in versions(),
            batch in 1usize..700,
            edits in proptest::collection::vec((any::<prop::sample::Index>(), 0u8..3, any::<i64>()), 0..300),
            in_order: bool,
            limit in 1usize..400,
        ) {
            let dir = tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap());
            let index = Index::open(&dir.path().join("index.db")).unwrap();
            let all: Vec<(Key, Option<Body>)> = versions.iter().map(|(key, body)| (*key, *body)).collect();
            let mut edits: Vec<_> = edits.iter().filter(|_| !all.is_empty()).map(|(at, what, to)| (at.index(all.len()), *what, *to)).collect();
            if in_order {
                edits.sort_unstable();
            }
            let mut left = versions.clone();
            index.transact(|transaction| {
                for part in all.chunks(batch) {
                    let mut begin = Begin::new(transaction, SPACE)?;
                    for (key, body) in part {
                        assert!(begin.take_up(*key, *body)?);
                    }
                    begin.finish()?;
                }
                // What comes again, or late, has to go elsewhere.
                let mut begin = Begin::new(transaction, SPACE)?;
                for (key, body) in &all {
                    assert!(!begin.take_up(*key, *body)?);
                }
                begin.finish()?;
                let mut editor = Editor::new(transaction, SPACE);
                for (at, what, to) in edits {
                    let (key, _) = all[at];
                    let body = left.get_mut(&key).and_then(Option::as_mut);
                    match what {
                        0 => assert_eq!(editor.take(key)?.map(|taken| taken.body), left.remove(&key)),
                        1 => {
                            assert_eq!(editor.point(key, Place(to))?, body.is_some());
                            body.into_iter().for_each(|(place, _)| *place = Place(to));
                        }
                        _ => {
                            assert_eq!(editor.set_fingerprint(key, to)?, body.is_some());
                            body.into_iter().for_each(|(_, fingerprint)| *fingerprint = to);
                        }
                    }
                }
                editor.finish()
            }).unwrap();
            let read = index.read();
            let found = after(&read, SPACE, None, usize::MAX).unwrap();
            prop_assert!(found.is_sorted_by_key(|version| version.key));
            prop_assert_eq!(found.len(), left.len());
            prop_assert_eq!(&as_map(&found), &left);
            for key in versions.keys() {
                let found = find(&read, SPACE, *key).unwrap();
                prop_assert_eq!(found.map(|version| version.body), left.get(key).copied());
            }
            for parent in 0..4 {
                let mut under_it = left.clone();
                under_it.retain(|key, _| key.parent == parent);
                prop_assert_eq!(as_map(&under(&read, SPACE, parent).unwrap()), under_it);
                let next = left.keys().map(|key| key.parent).find(|other| *other > parent);
                prop_assert_eq!(next_parent(&read, SPACE, parent).unwrap(), next);
            }
            let mut paged: Vec<Version> = Vec::new();
            loop {
                let page = after(&read, SPACE, paged.last().map(|version| version.key), limit).unwrap();
                if page.is_empty() {
                    break;
                }
                paged.extend(page);
            }
            prop_assert_eq!(&paged, &found);
            let mut each = Vec::new();
            let mut statement = Each::statement(&read).unwrap();
            let mut rows = Each::new(&mut statement, SPACE).unwrap();
            let middle = found.get(found.len() / 2).map(|version| version.key);
            rows.show_before(middle, &mut |version| each.push(version)).unwrap();
            prop_assert_eq!(each.len(), found.len() / 2);
            rows.show_before(None, &mut |version| each.push(version)).unwrap();
            prop_assert_eq!(each, found);
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            if let Ok(versions) = unpack(7, &bytes) {
                prop_assert!(versions.is_sorted_by_key(|(key, _)| *key));
            }
        }
    }

    #[test]
    fn a_lookup_is_planned_once_whatever_is_looked_up() {
        let dir = tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap());
        let index = Index::open(&dir.path().join("index.db")).unwrap();
        let key = |key| Key { parent: 1, key };
        let read = index.read();
        let times = |status| read.prepare_cached(AROUND).unwrap().get_status(status);
        for number in 0..20 {
            assert_eq!(find(&read, SPACE, key(number)).unwrap(), None);
        }
        assert_eq!(times(StatementStatus::Run), 20);
        assert_eq!(times(StatementStatus::RePrepare), 0);
    }
}
