//! What moves by itself of the objects of one type that is listed as a whole, until the snapshot is finished.
//!
//! It is kept by buckets and compressed as it comes: 1,000,000 users' last logins take some 10 MB so, and 110 MB as a map.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use crate::chunk::Key;
use crate::codec::{DecodeError, Decoder, put_sized, put_u64};

/// A bucket's rows are compressed when they have this many bytes.
const OPEN_BYTES_MAX: usize = 32 * 1024;

/// It is to be quick, and the rows resemble each other.
const LEVEL: i32 = 1;

const WHAT: &str = "observations that were just made";

const PUT: u8 = 0;
const FORGET_KEY: u8 = 1;
const FORGET_UNDER: u8 = 2;

/// The observations of one type, by buckets.
#[derive(Debug, Default)]
pub(super) struct Pending {
    buckets: BTreeMap<u32, Bucket>,
}

#[derive(Debug, Default)]
struct Bucket {
    /// Compressed parts, each with its length.
    parts: Vec<(usize, Vec<u8>)>,
    open: Vec<u8>,
}

impl Bucket {
    fn close(&mut self) -> io::Result<()> {
        if self.open.len() >= OPEN_BYTES_MAX {
            let mut part = zstd::bulk::compress(&self.open, LEVEL)?;
            // It has room for what cannot be compressed: eight times what is needed.
            part.shrink_to_fit();
            self.parts.push((self.open.len(), part));
            self.open = Vec::new();
        }
        Ok(())
    }

    fn replay(&self, rows: &mut BTreeMap<Key, Vec<u8>>) -> io::Result<()> {
        let broken = |error| io::Error::new(io::ErrorKind::InvalidData, error);
        for (length, part) in &self.parts {
            let part = zstd::bulk::decompress(part, *length)?;
            replay(&part, rows).map_err(broken)?;
        }
        replay(&self.open, rows).map_err(broken)
    }
}

fn replay(part: &[u8], rows: &mut BTreeMap<Key, Vec<u8>>) -> Result<(), DecodeError> {
    let mut from = Decoder::new(part, WHAT);
    while !from.rest().is_empty() {
        match from.u8()? {
            PUT => {
                let parent = from.u32()?;
                let key = from.u32()?;
                rows.insert(Key { parent, key }, from.sized()?.to_vec());
            }
            FORGET_KEY => {
                let key = from.u32()?;
                rows.retain(|row, _| row.key != key);
            }
            _ => {
                let parent = from.u32()?;
                rows.retain(|row, _| row.parent != parent);
            }
        }
    }
    Ok(())
}

impl Pending {
    /// Keeps what was observed of an object, or that nothing was.
    pub(super) fn put(&mut self, bucket: u32, key: Key, observed: &[u8]) -> io::Result<()> {
        if observed.is_empty() {
            return self.forget(bucket, key.key);
        }
        let bucket = self.buckets.entry(bucket).or_default();
        bucket.open.push(PUT);
        put_u64(&mut bucket.open, u64::from(key.parent));
        put_u64(&mut bucket.open, u64::from(key.key));
        put_sized(&mut bucket.open, observed);
        bucket.close()
    }

    /// Forgets what was observed of an object, under whatever parent.
    pub(super) fn forget(&mut self, bucket: u32, key: u32) -> io::Result<()> {
        let Some(bucket) = self.buckets.get_mut(&bucket) else {
            return Ok(());
        };
        bucket.open.push(FORGET_KEY);
        put_u64(&mut bucket.open, u64::from(key));
        bucket.close()
    }

    /// Forgets what was observed of the objects under a parent.
    pub(super) fn forget_under(&mut self, parent: u32) -> io::Result<()> {
        for bucket in self.buckets.values_mut() {
            bucket.open.push(FORGET_UNDER);
            put_u64(&mut bucket.open, u64::from(parent));
            bucket.close()?;
        }
        Ok(())
    }

    /// The buckets of which something is kept.
    pub(super) fn buckets(&self) -> BTreeSet<u32> {
        self.buckets.keys().copied().collect()
    }

    /// What is kept of a bucket, in order of the keys.
    pub(super) fn rows(&self, bucket: u32) -> io::Result<BTreeMap<Key, Vec<u8>>> {
        let mut rows = BTreeMap::new();
        if let Some(bucket) = self.buckets.get(&bucket) {
            bucket.replay(&mut rows)?;
        }
        Ok(rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_each_object_is_kept_and_what_is_forgotten_is_not() {
        let key = |parent, key| Key { parent, key };
        let mut pending = Pending::default();
        let long = vec![b'x'; OPEN_BYTES_MAX];
        pending.put(0, key(1, 5), b"first").unwrap();
        pending.put(0, key(1, 6), &long).unwrap();
        pending.put(0, key(1, 5), b"second").unwrap();
        pending.put(0, key(2, 7), b"under 2").unwrap();
        pending.put(0, key(1, 8), b"gone").unwrap();
        pending.put(3, key(2, 9), b"under 2").unwrap();
        pending.forget_under(2).unwrap();
        pending.put(0, key(1, 8), b"").unwrap();
        pending.put(0, key(2, 10), b"later").unwrap();
        assert_eq!(pending.buckets(), [0, 3].into());
        let rows: Vec<_> = pending.rows(0).unwrap().into_iter().collect();
        assert_eq!(
            rows,
            [
                (key(1, 5), b"second".to_vec()),
                (key(1, 6), long),
                (key(2, 10), b"later".to_vec()),
            ]
        );
        assert!(pending.rows(3).unwrap().is_empty());
        assert!(pending.rows(4).unwrap().is_empty());
    }
}
