//! The checkpoint: the whole state as of one snapshot, which needs no record before it.
//!
//! It stands beside the snapshot's record and is written after it, so that a checkpoint never makes a snapshot exist. While
//! all records are there none is needed. Where one is lost, the snapshots from the next checkpoint on can still be read; an object that is known
//! through a checkpoint alone begins with the checkpoint's snapshot: what it was before is lost with the record.
//!
//! # Format, version 1
//!
//! `ORGKCHP\x01`, the epoch of the data key (4 bytes, little-endian), then nonce and sealed bytes of: the length of the following after
//! decompression (varint) and one zstd frame of:
//!
//! | part | coding |
//! | --- | --- |
//! | version | `0x01` |
//! | the snapshots before it, oldest first | how many, then each: sequence number (varint), id (8 bytes) |
//! | changes of the snapshot against its parent | varint |
//! | bytes of the snapshot's own record | varint |
//! | the state | a [record](super) of version 1, as if nothing had been before it |
//!
//! In that record, sequence number, parent, times, watermark, coverage, counts and the bytes of the new packs are those of the
//! snapshot. The new ids are all ids of the domain (an empty one stands for a number that was left out), the packs all packs that are named
//! below; the runs are those of all versions that are there, new relations are all relations that are there, observations
//! all of the latest. Nothing is removed.
//! Associated data: `orgkeep checkpoint 1`, domain, snapshot.

use std::io;

use super::{Form, Put, Record, RecordError};
use crate::blobs::SealedBlob;
use crate::codec::{DecodeError, Decoder, put_u64, put_usize};
use crate::id::{DomainId, SnapshotId};
use crate::keys::{DomainKeys, KeyError};

#[cfg(any(test, feature = "fuzzing"))]
pub(super) mod fuzzing;

const VERSION: u8 = 1;

const FORM: Form = Form {
    magic: b"ORGKCHP\x01",
    label: b"orgkeep checkpoint 1",
    what: "a checkpoint",
};

/// The whole state as of one snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    /// The snapshots before it, by their sequence numbers.
    pub(crate) before: Vec<(u32, SnapshotId)>,
    pub(crate) changes: u64,
    pub(crate) record_bytes: u64,
    pub(crate) state: Record,
}

impl Checkpoint {
    /// The checkpoint as a blob.
    pub(crate) fn seal(
        &self,
        keys: &DomainKeys,
        domain: DomainId,
        snapshot: SnapshotId,
    ) -> Result<SealedBlob, KeyError> {
        FORM.seal(keys, domain, snapshot.as_bytes(), &|put| self.put(put))
    }

    /// The checkpoint from its blob.
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
        put_usize(&mut out, self.before.len());
        for (sequence, snapshot) in &self.before {
            put_u64(&mut out, u64::from(*sequence));
            out.extend_from_slice(snapshot.as_bytes());
        }
        put_u64(&mut out, self.changes);
        put_u64(&mut out, self.record_bytes);
        put(&out)?;
        self.state.put(put)
    }

    fn decode(plain: &[u8]) -> Result<Self, DecodeError> {
        let mut from = Decoder::new(plain, FORM.what);
        from.version(VERSION)?;
        let count = from.count()?;
        let before = (0..count)
            .map(|_| Ok((from.u32()?, SnapshotId::from_bytes(from.array()?))))
            .collect::<Result<_, DecodeError>>()?;
        let checkpoint = Self {
            before,
            changes: from.u64()?,
            record_bytes: from.u64()?,
            state: Record::decode(from.rest())?,
        };
        if checkpoint
            .state
            .types
            .iter()
            .any(|of_type| !of_type.removed.is_empty())
        {
            return Err(from.broken());
        }
        Ok(checkpoint)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::record;
    use super::*;

    fn checkpoint() -> impl Strategy<Value = Checkpoint> {
        let before = proptest::collection::vec((any::<u32>(), any::<[u8; 8]>()), 0..5);
        (before, any::<u64>(), any::<u64>(), record()).prop_map(
            |(before, changes, record_bytes, mut state)| {
                for of_type in &mut state.types {
                    of_type.removed.clear();
                }
                Checkpoint {
                    before: before
                        .into_iter()
                        .map(|(sequence, id)| (sequence, SnapshotId::from_bytes(id)))
                        .collect(),
                    changes,
                    record_bytes,
                    state,
                }
            },
        )
    }

    proptest! {
        #[test]
        fn a_checkpoint_comes_back_and_only_under_its_name(checkpoint in checkpoint()) {
            let keys = DomainKeys::generate().unwrap();
            let (domain, snapshot) = (DomainId::from_bytes([1; 8]), SnapshotId::from_bytes([2; 8]));
            let blob = checkpoint.seal(&keys, domain, snapshot).unwrap();
            prop_assert_eq!(&Checkpoint::open(&keys, domain, snapshot, blob.as_bytes()).unwrap(), &checkpoint);
            prop_assert!(Checkpoint::open(&keys, domain, SnapshotId::from_bytes([3; 8]), blob.as_bytes()).is_err());
            prop_assert!(Checkpoint::open(&keys, DomainId::from_bytes([3; 8]), snapshot, blob.as_bytes()).is_err());
            prop_assert!(Record::open(&keys, domain, snapshot, blob.as_bytes()).is_err());
            let mut changed = blob.as_bytes().to_vec();
            let middle = changed.len() / 2;
            changed[middle] ^= 1;
            prop_assert!(Checkpoint::open(&keys, domain, snapshot, &changed).is_err());
        }

        #[test]
        fn changed_bytes_are_refused_or_read_but_never_panic(
            checkpoint in checkpoint(),
            changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        ) {
            let mut plain = checkpoint.encode();
            for (index, byte) in changes {
                let at = index.index(plain.len());
                plain[at] = byte;
            }
            Checkpoint::decode(&plain).ok();
        }
    }

    #[test]
    fn an_unknown_version_is_refused_by_its_number() {
        let keys = DomainKeys::generate().unwrap();
        let (domain, snapshot) = (DomainId::from_bytes([1; 8]), SnapshotId::from_bytes([2; 8]));
        let found = Checkpoint::open(&keys, domain, snapshot, b"ORGKCHP\x09....");
        assert!(matches!(
            found,
            Err(RecordError::Decode(DecodeError::UnknownVersion {
                version: 9,
                what: "a checkpoint"
            }))
        ));
    }
}
