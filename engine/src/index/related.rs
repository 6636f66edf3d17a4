//! Relations without a body that are there since the first snapshot and still are, many to a row.
//!
//! They are most of what an org has, and nearly none of them ends in a year. As rows of `version` each takes 21 bytes, here
//! about 1.5. Each stands for a version with the first snapshot 1 and no last one; when it ends it becomes a row of `version`.
//! Those that begin later are rows of `version` from the start, because differences are found by their beginnings.

use rusqlite::{CachedStatement, Connection, OptionalExtension, Row, Rows, Transaction, params};

use super::{IndexError, Result, Space, Version};
use crate::chunk::Key;
use crate::codec::{Decoder, put_u64};

/// So many keys are put in one row: 300 to 500 bytes, of which four fit on a page beside others, and which are quickly written anew.
const KEYS_MAX: usize = 256;

const BROKEN: IndexError = IndexError::Broken {
    what: "relations that cannot be read",
};

/// One row of the table.
struct Block {
    parent: u32,
    /// At most the first of its keys.
    from: u32,
    keys: Vec<u32>,
}

impl Block {
    fn read(row: &Row<'_>) -> Result<Self> {
        let from = row.get(1)?;
        let packed = row.get_ref(2)?.as_blob().map_err(|_| BROKEN)?;
        let mut packed = Decoder::new(packed, "relations");
        let mut keys = Vec::with_capacity(packed.rest().len());
        let mut last = from;
        while !packed.rest().is_empty() {
            let difference = packed.u32().map_err(|_| BROKEN)?;
            last = u32::checked_add(last, difference).ok_or(BROKEN)?;
            keys.push(last);
        }
        Ok(Self {
            parent: row.get(0)?,
            from,
            keys,
        })
    }

    fn packed(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.keys.len() * 2);
        let mut last = self.from;
        for key in &self.keys {
            put_u64(&mut out, u64::from(key.saturating_sub(last)));
            last = *key;
        }
        out
    }

    fn keys(&self) -> impl Iterator<Item = Key> {
        let parent = self.parent;
        self.keys.iter().map(move |key| Key { parent, key: *key })
    }
}

/// What a relation is as a version.
pub(super) fn version(key: Key) -> Version {
    Version {
        key,
        first: 1,
        last: None,
        body: None,
    }
}

/// The row in which a key lies if it lies in any.
fn around(connection: &Connection, space: Space, key: Key) -> Result<Option<Block>> {
    let mut statement = connection.prepare_cached(
        "SELECT parent, key, keys FROM related WHERE space = ?1 AND parent = ?2 AND key <= ?3 ORDER BY key DESC LIMIT 1",
    )?;
    let mut rows = statement.query(params![space, key.parent, key.key])?;
    rows.next()?.map(Block::read).transpose()
}

/// Whether a relation is among them.
pub(super) fn has(connection: &Connection, space: Space, key: Key) -> Result<bool> {
    let block = around(connection, space, key)?;
    Ok(block.is_some_and(|block| block.keys.binary_search(&key.key).is_ok()))
}

/// Those under one parent, in order.
pub(super) fn under(connection: &Connection, space: Space, parent: u32) -> Result<Vec<Key>> {
    let mut statement = connection.prepare_cached(
        "SELECT parent, key, keys FROM related WHERE space = ?1 AND parent = ?2 ORDER BY key",
    )?;
    let mut rows = statement.query(params![space, parent])?;
    let mut keys = Vec::new();
    while let Some(row) = rows.next()? {
        keys.extend(Block::read(row)?.keys());
    }
    Ok(keys)
}

/// Up to `limit` of them in order, those after `after`.
pub(super) fn after(
    connection: &Connection,
    space: Space,
    after: Option<Key>,
    limit: usize,
) -> Result<Vec<Key>> {
    let mut keys = Vec::new();
    if let Some(after) = after
        && let Some(block) = around(connection, space, after)?
    {
        keys.extend(block.keys().filter(|key| *key > after));
    }
    let mut statement = connection.prepare_cached(
        "SELECT parent, key, keys FROM related WHERE space = ?1 AND (parent, key) > (?2, ?3) ORDER BY parent, key",
    )?;
    let (parent, key) = after.map_or((-1, -1), |after| {
        (i64::from(after.parent), i64::from(after.key))
    });
    let mut rows = statement.query(params![space, parent, key])?;
    while keys.len() < limit {
        let Some(row) = rows.next()? else { break };
        keys.extend(Block::read(row)?.keys());
    }
    keys.truncate(limit);
    Ok(keys)
}

/// The first parent above `above` that has some.
pub(super) fn next_parent(
    connection: &Connection,
    space: Space,
    above: u32,
) -> Result<Option<u32>> {
    let mut statement = connection.prepare_cached(
        "SELECT parent FROM related WHERE space = ?1 AND parent > ?2 ORDER BY parent LIMIT 1",
    )?;
    Ok(statement
        .query_row(params![space, above], |row| row.get(0))
        .optional()?)
}

/// Puts relations among versions, both in order of their keys.
pub(super) fn merged(versions: Vec<Version>, related: Vec<Key>) -> Vec<Version> {
    if related.is_empty() {
        return versions;
    }
    let mut all = Vec::with_capacity(versions.len() + related.len());
    let mut related = related.into_iter().peekable();
    for found in versions {
        while let Some(key) = related.next_if(|key| *key < found.key) {
            all.push(version(key));
        }
        all.push(found);
    }
    all.extend(related.map(version));
    all
}

/// Reads all of a space one by one, in order.
pub(super) struct Each<'rows> {
    rows: Rows<'rows>,
    block: std::vec::IntoIter<Key>,
    next: Option<Key>,
}

impl<'rows> Each<'rows> {
    /// The statement that [`new`](Self::new) takes.
    pub(super) fn statement(connection: &Connection) -> Result<CachedStatement<'_>> {
        Ok(connection.prepare_cached(
            "SELECT parent, key, keys FROM related WHERE space = ?1 ORDER BY parent, key",
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
            self.block = Block::read(row)?.keys().collect::<Vec<Key>>().into_iter();
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
        while let Some(next) = self.next.filter(|next| key.is_none_or(|key| *next < key)) {
            see(version(next));
            self.advance()?;
        }
        Ok(())
    }
}

/// Adds relations that a first snapshot has; gives back those that have to be rows of `version`.
///
/// They come in order, over several calls; what is out of order is given back.
pub(super) fn begin(
    transaction: &Transaction<'_>,
    space: Space,
    related: &[Key],
) -> Result<Vec<Key>> {
    let mut last = last_key(transaction, space)?;
    let mut insert = transaction
        .prepare_cached("INSERT INTO related (space, parent, key, keys) VALUES (?1, ?2, ?3, ?4)")?;
    let mut put =
        |block: &Block| insert.execute(params![space, block.parent, block.from, block.packed()]);
    let mut left = Vec::new();
    let mut open: Option<Block> = None;
    for key in related {
        if last.is_some_and(|last| *key <= last) {
            left.push(*key);
            continue;
        }
        last = Some(*key);
        match &mut open {
            Some(block) if block.parent == key.parent && block.keys.len() < KEYS_MAX => {
                block.keys.push(key.key);
            }
            open => {
                let next = Block {
                    parent: key.parent,
                    from: key.key,
                    keys: vec![key.key],
                };
                if let Some(full) = open.replace(next) {
                    put(&full)?;
                }
            }
        }
    }
    if let Some(block) = open {
        put(&block)?;
    }
    Ok(left)
}

fn last_key(transaction: &Transaction<'_>, space: Space) -> Result<Option<Key>> {
    let mut statement = transaction.prepare_cached(
        "SELECT parent, key, keys FROM related WHERE space = ?1 ORDER BY parent DESC, key DESC LIMIT 1",
    )?;
    let mut rows = statement.query([space])?;
    let block = rows.next()?.map(Block::read).transpose()?;
    Ok(block.and_then(|block| block.keys().last()))
}

/// Takes a relation out, which has ended; tells whether it was there.
pub(super) fn take(transaction: &Transaction<'_>, space: Space, key: Key) -> Result<bool> {
    let Some(mut block) = around(transaction, space, key)? else {
        return Ok(false);
    };
    let Ok(at) = block.keys.binary_search(&key.key) else {
        return Ok(false);
    };
    block.keys.remove(at);
    if block.keys.is_empty() {
        transaction
            .prepare_cached("DELETE FROM related WHERE space = ?1 AND parent = ?2 AND key = ?3")?
            .execute(params![space, block.parent, block.from])?;
    } else {
        transaction
            .prepare_cached(
                "UPDATE related SET keys = ?4 WHERE space = ?1 AND parent = ?2 AND key = ?3",
            )?
            .execute(params![space, block.parent, block.from, block.packed()])?;
    }
    Ok(true)
}

/// All of a space; for tests of what an index says.
#[cfg(test)]
pub(crate) fn all(connection: &Connection, space: Space) -> Vec<Key> {
    after(connection, space, None, usize::MAX).unwrap()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::index::Index;

    const SPACE: Space = 3;

    fn keys() -> impl Strategy<Value = BTreeSet<Key>> {
        let key = (0u32..4, 0u32..900).prop_map(|(parent, key)| Key { parent, key });
        proptest::collection::btree_set(key, 0..1200)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_put_in_is_there_until_it_is_taken(
            keys in keys(),
            batch in 1usize..700,
            taken in proptest::collection::vec(any::<prop::sample::Index>(), 0..300),
            limit in 1usize..400,
        ) {
            let dir = tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap());
            let index = Index::open(&dir.path().join("index.db")).unwrap();
            let mut left = keys.clone();
            index.transact(|transaction| {
                let all: Vec<Key> = keys.iter().copied().collect();
                for part in all.chunks(batch) {
                    assert_eq!(begin(transaction, SPACE, part)?, []);
                }
                // What comes again, or late, has to go elsewhere.
                assert_eq!(begin(transaction, SPACE, &all)?, all);
                for at in taken.iter().filter(|_| !all.is_empty()) {
                    let key = all[at.index(all.len())];
                    assert_eq!(take(transaction, SPACE, key)?, left.remove(&key));
                }
                Ok(())
            }).unwrap();
            let read = index.read();
            let left: Vec<Key> = left.into_iter().collect();
            prop_assert_eq!(&all(&read, SPACE), &left);
            for key in &keys {
                prop_assert_eq!(has(&read, SPACE, *key).unwrap(), left.contains(key));
            }
            for parent in 0..4 {
                let under_it: Vec<Key> = left.iter().copied().filter(|key| key.parent == parent).collect();
                prop_assert_eq!(under(&read, SPACE, parent).unwrap(), under_it);
                let next = left.iter().map(|key| key.parent).find(|other| *other > parent);
                prop_assert_eq!(next_parent(&read, SPACE, parent).unwrap(), next);
            }
            let mut paged = Vec::new();
            loop {
                let page = after(&read, SPACE, paged.last().copied(), limit).unwrap();
                if page.is_empty() {
                    break;
                }
                paged.extend(page);
            }
            prop_assert_eq!(&paged, &left);
            let mut each = Vec::new();
            let mut statement = Each::statement(&read).unwrap();
            let mut rows = Each::new(&mut statement, SPACE).unwrap();
            let middle = left.get(left.len() / 2).copied();
            rows.show_before(middle, &mut |version| each.push(version.key)).unwrap();
            prop_assert_eq!(each.len(), middle.map_or(0, |_| left.len() / 2));
            rows.show_before(None, &mut |version| each.push(version.key)).unwrap();
            prop_assert_eq!(each, left);
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let connection = Connection::open_in_memory().unwrap();
            let row = |row: &Row<'_>| Ok(Block::read(row).map(|block| block.keys));
            let found = connection.query_row("SELECT 0, 7, ?1", [bytes], row).unwrap();
            if let Ok(keys) = found {
                prop_assert!(keys.is_sorted());
            }
        }
    }
}
