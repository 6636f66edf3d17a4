//! The merged record: what changed with a snapshot since an earlier one that is not its parent, because those between were removed.
//!
//! It stands in place of the snapshot's own record and of all records since its base, which prune deletes once the merged record is
//! durable. One without a base holds the whole state and needs nothing before it.
//!
//! # Format, version 1
//!
//! `ORGKMRG\x01`, the epoch of the data key (4 bytes, little-endian), then nonce and sealed bytes of: the length of the following after
//! decompression (varint) and one zstd frame of:
//!
//! | part | coding |
//! | --- | --- |
//! | version | `0x01` |
//! | base: the snapshot since which it tells | 0, or 1 and 8 bytes |
//! | changes of the snapshot against its parent | varint |
//! | bytes of the snapshot's own record | varint |
//! | what changed since the base | a [record](super) of version 1 |
//!
//! In that record, sequence number, parent, times, watermark, coverage, counts and the bytes of the new packs are those of the snapshot as its own
//! record had them. The new ids are all since the base (an empty one stands for a number that was left out); the packs are those that are named below, by
//! the places where the rows lay when it was written. A relation that ended and is there again stands both among what is gone and what is new.
//! Associated data: `orgkeep merged record 1`, domain, snapshot.

use std::io;

use super::{Form, Put, Record, RecordError};
use crate::blobs::SealedBlob;
use crate::codec::{DecodeError, Decoder, put_u64};
use crate::id::{DomainId, SnapshotId};
use crate::keys::{DomainKeys, KeyError};

#[cfg(any(test, feature = "fuzzing"))]
pub(super) mod fuzzing;

const VERSION: u8 = 1;

const FORM: Form = Form {
    magic: b"ORGKMRG\x01",
    label: b"orgkeep merged record 1",
    what: "a merged record",
};

/// What changed with a snapshot since its base.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Merged {
    pub(crate) base: Option<SnapshotId>,
    pub(crate) changes: u64,
    pub(crate) record_bytes: u64,
    pub(crate) record: Record,
}

impl Merged {
    /// The merged record as a blob.
    pub(crate) fn seal(
        &self,
        keys: &DomainKeys,
        domain: DomainId,
        snapshot: SnapshotId,
    ) -> Result<SealedBlob, KeyError> {
        FORM.seal(keys, domain, snapshot.as_bytes(), &|put| self.put(put))
    }

    /// The merged record from its blob.
    pub(crate) fn open(
        keys: &DomainKeys,
        domain: DomainId,
        snapshot: SnapshotId,
        blob: &[u8],
    ) -> Result<Self, RecordError> {
        let plain = FORM.open(keys, domain, snapshot.as_bytes(), blob)?;
        Self::decode(&plain).map_err(RecordError::Decode)
    }

    #[cfg(any(test, feature = "fuzzing"))]
    fn encode(&self) -> Vec<u8> {
        super::collected(&|put| self.put(put))
    }

    fn put(&self, put: &mut Put<'_>) -> io::Result<()> {
        let mut out = vec![VERSION];
        match &self.base {
            None => out.push(0),
            Some(base) => {
                out.push(1);
                out.extend_from_slice(base.as_bytes());
            }
        }
        put_u64(&mut out, self.changes);
        put_u64(&mut out, self.record_bytes);
        put(&out)?;
        self.record.put(put)
    }

    fn decode(plain: &[u8]) -> Result<Self, DecodeError> {
        let mut from = Decoder::new(plain, FORM.what);
        from.version(VERSION)?;
        Ok(Self {
            base: match from.u8()? {
                0 => None,
                1 => Some(SnapshotId::from_bytes(from.array()?)),
                _ => return Err(from.broken()),
            },
            changes: from.u64()?,
            record_bytes: from.u64()?,
            record: Record::decode(from.rest())?,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::record;
    use super::*;

    fn merged() -> impl Strategy<Value = Merged> {
        let base = any::<Option<[u8; 8]>>();
        (base, any::<u64>(), any::<u64>(), record()).prop_map(
            |(base, changes, record_bytes, record)| Merged {
                base: base.map(SnapshotId::from_bytes),
                changes,
                record_bytes,
                record,
            },
        )
    }

    proptest! {
        #[test]
        fn a_merged_record_comes_back_and_only_under_its_name(merged in merged()) {
            let keys = DomainKeys::generate().unwrap();
            let (domain, snapshot) = (DomainId::from_bytes([1; 8]), SnapshotId::from_bytes([2; 8]));
            let blob = merged.seal(&keys, domain, snapshot).unwrap();
            prop_assert_eq!(&Merged::open(&keys, domain, snapshot, blob.as_bytes()).unwrap(), &merged);
            prop_assert!(Merged::open(&keys, domain, SnapshotId::from_bytes([3; 8]), blob.as_bytes()).is_err());
            prop_assert!(Record::open(&keys, domain, snapshot, blob.as_bytes()).is_err());
            let mut changed = blob.as_bytes().to_vec();
            let middle = changed.len() / 2;
            changed[middle] ^= 1;
            prop_assert!(Merged::open(&keys, domain, snapshot, &changed).is_err());
        }

        #[test]
        fn changed_bytes_are_refused_or_read_but_never_panic(
            merged in merged(),
            changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        ) {
            let mut plain = merged.encode();
            for (index, byte) in changes {
                let at = index.index(plain.len());
                plain[at] = byte;
            }
            Merged::decode(&plain).ok();
        }
    }
}
