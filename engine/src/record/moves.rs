//! Where rows lie now that were moved to other packs.
//!
//! Packs are never changed, and records name rows by pack, chunk and ordinal. When rows are moved, because a pack holds too few
//! that are still needed or because parts of it are damaged, the old places are mapped to the new ones here, and whoever reads a record
//! follows. A pack of which all that is needed was moved, or of which nothing is needed, is *retired*: it may be deleted, and a row of it that is not mapped
//! was dropped on purpose. What was moved may be moved again by a later blob.
//!
//! # Format, version 1
//!
//! `ORGKMOV\x01`, the epoch of the data key (4 bytes, little-endian), then nonce and sealed bytes of: the length of the following after
//! decompression (varint) and one zstd frame of:
//!
//! | part | coding |
//! | --- | --- |
//! | version | `0x01` |
//! | new packs | how many, then each: id (8 bytes) |
//! | old packs | how many, then each as below |
//!
//! Of an old pack: its id (8 bytes); 1 if it is retired, else 0; the runs of rows that were moved (how many, then each: old chunk as difference to the last run's,
//! first old ordinal, rows, new pack by its place above, new chunk, first new ordinal), in order of chunk and ordinal, none overlapping; the rows that are lost
//! (how many, then each: old chunk, old ordinal, parent's number, key's number, fingerprint of the content as 8 bytes, little-endian).
//! A chunk of observations is moved as a whole, from ordinal 0. All numbers are varints.
//! Associated data: `orgkeep moves 1`, domain, the blob's number (8 bytes, little-endian).

use super::{Form, RecordError};
use crate::blobs::SealedBlob;
use crate::chunk::Key;
use crate::codec::{DecodeError, Decoder, put_u64, put_usize};
use crate::id::{DomainId, PackId};
use crate::keys::{DomainKeys, KeyError};

#[cfg(any(test, feature = "fuzzing"))]
pub(super) mod fuzzing;

const VERSION: u8 = 1;

const FORM: Form = Form {
    magic: b"ORGKMOV\x01",
    label: b"orgkeep moves 1",
    what: "a list of moves",
};

/// Rows of one chunk that were moved together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MovedRun {
    /// The old chunk, by its place in the old pack.
    pub(crate) chunk: usize,
    /// The first old ordinal.
    pub(crate) first: usize,
    /// How many rows.
    pub(crate) rows: usize,
    /// Where they lie now.
    pub(crate) to: PackId,
    pub(crate) to_chunk: usize,
    pub(crate) to_first: usize,
}

/// A row whose content is lost for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LostRow {
    pub(crate) chunk: usize,
    pub(crate) ordinal: usize,
    pub(crate) key: Key,
    pub(crate) fingerprint: i64,
}

/// What became of the rows of one pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MovedPack {
    pub(crate) pack: PackId,
    /// Whether nothing of it is needed any more.
    pub(crate) retired: bool,
    /// In order of chunk and ordinal, none overlapping.
    pub(crate) runs: Vec<MovedRun>,
    pub(crate) lost: Vec<LostRow>,
}

/// What one operation moved.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Moves {
    pub(crate) packs: Vec<MovedPack>,
}

impl Moves {
    /// The packs that rows were moved to, in order of their ids.
    pub(crate) fn targets(&self) -> Vec<PackId> {
        let runs = self.packs.iter().flat_map(|pack| &pack.runs);
        let mut targets: Vec<PackId> = runs.map(|run| run.to).collect();
        targets.sort_unstable();
        targets.dedup();
        targets
    }

    /// The moves as the blob of a number.
    pub(crate) fn seal(
        &self,
        keys: &DomainKeys,
        domain: DomainId,
        number: u64,
    ) -> Result<SealedBlob, KeyError> {
        let plain = self.encode();
        FORM.seal(keys, domain, &number.to_le_bytes(), &|put| put(&plain))
    }

    /// The moves from their blob.
    pub(crate) fn open(
        keys: &DomainKeys,
        domain: DomainId,
        number: u64,
        blob: &[u8],
    ) -> Result<Self, RecordError> {
        let plain = FORM.open(keys, domain, &number.to_le_bytes(), blob)?;
        Self::decode(&plain).map_err(RecordError::Decode)
    }

    fn encode(&self) -> Vec<u8> {
        let targets = self.targets();
        let mut out = vec![VERSION];
        put_usize(&mut out, targets.len());
        for target in &targets {
            out.extend_from_slice(target.as_bytes());
        }
        put_usize(&mut out, self.packs.len());
        for pack in &self.packs {
            out.extend_from_slice(pack.pack.as_bytes());
            out.push(u8::from(pack.retired));
            put_usize(&mut out, pack.runs.len());
            let mut chunk = 0;
            for run in &pack.runs {
                put_usize(&mut out, run.chunk.saturating_sub(chunk));
                chunk = run.chunk;
                put_usize(&mut out, run.first);
                put_usize(&mut out, run.rows);
                put_usize(&mut out, targets.binary_search(&run.to).unwrap_or_default());
                put_usize(&mut out, run.to_chunk);
                put_usize(&mut out, run.to_first);
            }
            put_usize(&mut out, pack.lost.len());
            for row in &pack.lost {
                put_usize(&mut out, row.chunk);
                put_usize(&mut out, row.ordinal);
                put_u64(&mut out, u64::from(row.key.parent));
                put_u64(&mut out, u64::from(row.key.key));
                out.extend_from_slice(&row.fingerprint.to_le_bytes());
            }
        }
        out
    }

    fn decode(plain: &[u8]) -> Result<Self, DecodeError> {
        let mut from = Decoder::new(plain, FORM.what);
        from.version(VERSION)?;
        let count = from.count()?;
        let targets = (0..count)
            .map(|_| Ok(PackId::from_bytes(from.array()?)))
            .collect::<Result<Vec<_>, DecodeError>>()?;
        let count = from.count()?;
        let mut packs = Vec::with_capacity(count);
        for _ in 0..count {
            packs.push(read_pack(&mut from, &targets)?);
        }
        from.end()?;
        Ok(Self { packs })
    }
}

fn read_pack(from: &mut Decoder<'_>, targets: &[PackId]) -> Result<MovedPack, DecodeError> {
    let pack = PackId::from_bytes(from.array()?);
    let retired = match from.u8()? {
        0 => false,
        1 => true,
        _ => return Err(from.broken()),
    };
    let count = from.count()?;
    let mut runs: Vec<MovedRun> = Vec::with_capacity(count);
    let (mut chunk, mut free) = (0usize, 0usize);
    for _ in 0..count {
        let step = from.usize()?;
        chunk = chunk.checked_add(step).ok_or(from.broken())?;
        let (first, rows) = (from.usize()?, from.usize()?);
        let end = first.checked_add(rows).ok_or(from.broken())?;
        if rows == 0 || (step == 0 && first < free) {
            return Err(from.broken());
        }
        free = end;
        let to = *targets.get(from.usize()?).ok_or(from.broken())?;
        let (to_chunk, to_first) = (from.usize()?, from.usize()?);
        to_first.checked_add(rows).ok_or(from.broken())?;
        runs.push(MovedRun {
            chunk,
            first,
            rows,
            to,
            to_chunk,
            to_first,
        });
    }
    let count = from.count()?;
    let mut lost = Vec::with_capacity(count);
    for _ in 0..count {
        lost.push(LostRow {
            chunk: from.usize()?,
            ordinal: from.usize()?,
            key: Key {
                parent: from.u32()?,
                key: from.u32()?,
            },
            fingerprint: i64::from_le_bytes(from.array()?),
        });
    }
    Ok(MovedPack {
        pack,
        retired,
        runs,
        lost,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn moves() -> impl Strategy<Value = Moves> {
        let run = (0usize..3, 0usize..9, 1usize..9, 0u8..3, any::<[u8; 2]>());
        let lost = (any::<[u16; 2]>(), any::<[u32; 2]>(), any::<i64>()).prop_map(
            |([chunk, ordinal], [parent, key], fingerprint)| LostRow {
                chunk: chunk.into(),
                ordinal: ordinal.into(),
                key: Key { parent, key },
                fingerprint,
            },
        );
        let pack = (
            any::<[u8; 8]>(),
            any::<bool>(),
            proptest::collection::vec(run, 0..6),
            proptest::collection::vec(lost, 0..3),
        )
            .prop_map(|(pack, retired, steps, lost)| {
                let (mut chunk, mut free) = (0, 0);
                let mut runs = Vec::new();
                for (step, gap, rows, to, [to_chunk, to_first]) in steps {
                    chunk += step;
                    let first = if step == 0 { free + gap } else { gap };
                    free = first + rows;
                    runs.push(MovedRun {
                        chunk,
                        first,
                        rows,
                        to: PackId::from_bytes([to; 8]),
                        to_chunk: to_chunk.into(),
                        to_first: to_first.into(),
                    });
                }
                let pack = PackId::from_bytes(pack);
                MovedPack {
                    pack,
                    retired,
                    runs,
                    lost,
                }
            });
        proptest::collection::vec(pack, 0..4).prop_map(|packs| Moves { packs })
    }

    proptest! {
        #[test]
        fn moves_come_back_and_only_under_their_number(moves in moves()) {
            let keys = DomainKeys::generate().unwrap();
            let domain = DomainId::from_bytes([1; 8]);
            let blob = moves.seal(&keys, domain, 7).unwrap();
            prop_assert_eq!(&Moves::open(&keys, domain, 7, blob.as_bytes()).unwrap(), &moves);
            prop_assert!(Moves::open(&keys, domain, 8, blob.as_bytes()).is_err());
            prop_assert!(Moves::open(&keys, DomainId::from_bytes([3; 8]), 7, blob.as_bytes()).is_err());
            let mut changed = blob.as_bytes().to_vec();
            let middle = changed.len() / 2;
            changed[middle] ^= 1;
            prop_assert!(Moves::open(&keys, domain, 7, &changed).is_err());
        }

        #[test]
        fn changed_bytes_are_refused_or_read_but_never_panic(
            moves in moves(),
            changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        ) {
            let mut plain = moves.encode();
            for (index, byte) in changes {
                let at = index.index(plain.len());
                plain[at] = byte;
            }
            Moves::decode(&plain).ok();
        }
    }

    #[test]
    fn an_unknown_version_is_refused_by_its_number() {
        let keys = DomainKeys::generate().unwrap();
        let found = Moves::open(&keys, DomainId::from_bytes([1; 8]), 1, b"ORGKMOV\x05....");
        assert!(matches!(
            found,
            Err(RecordError::Decode(DecodeError::UnknownVersion {
                version: 5,
                what: "a list of moves"
            }))
        ));
    }
}
