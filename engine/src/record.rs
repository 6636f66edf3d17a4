//! The snapshot record: what changed since the parent, and what to know about the snapshot as a whole.
//!
//! A snapshot exists when its record is durable, and not before. A record is self-contained given its parent: it
//! names the new ids and their numbers, where the new versions lie, what was removed, and the relations that came and
//! went, so that the index can be rebuilt from records and packs alone. Ids are numbered per domain, from 1, in the order in which
//! records name them; a number is never used twice. Relations without a body (`group_member`) stand in the record itself,
//! by column, which costs one to two bytes each.
//!
//! The first record of a domain has no parent. A later one can be read into an index only after those before it, or after a
//! checkpoint of its parent (`record/checkpoint.rs`).
//!
//! Records are not merged ahead (each eighth one holding the changes of the last eight): the index reads each record once, a damaged one
//! costs at most the snapshots up to the next checkpoint, and those between could be saved only by keeping most changes twice.
//! Prune merges the records of removed snapshots into that of the next one that stays (`record/merged.rs`), and says in `record/moves.rs`
//! where the rows lie now that it has moved.
//!
//! # Format, version 1
//!
//! `ORGKREC\x01`, the epoch of the data key (4 bytes, little-endian), then nonce and sealed bytes of: the length of the following after
//! decompression (varint) and one zstd frame of:
//!
//! | part | coding |
//! | --- | --- |
//! | version | `0x01` |
//! | sequence number in the domain, from 1 | varint |
//! | parent | 0, or 1 and 8 bytes |
//! | created at, as of | milliseconds since 1970, signed varints |
//! | watermark | length and bytes, opaque |
//! | new ids | number of the first, how many, then each: twice its length, plus one if it is a name; its bytes |
//! | packs named below | how many, then each: id (8 bytes), bytes |
//! | bytes of the new packs | varint |
//! | coverage | how many, then each: type code, state (0 complete, 1 not available, 2 missing scope, 3 incomplete), text |
//! | counts | how many, then each: type code, number of objects |
//! | types that changed | how many, then each as below |
//!
//! Of a type: its code; the runs of new versions (how many, then each: pack by its place above, chunk, first ordinal, rows); removals
//! and new relations, each as a list of keys (how many parents, then each: difference to the last parent, how many keys, their signed differences);
//! observations (how many, then each: bucket, pack, chunk, digest of 16 bytes; a bucket with the highest bit holds what is otherwise
//! than in the bucket without it, a row without bytes saying that nothing is observed any more, and its digest is that of both together).
//! Associated data: `orgkeep record 1`, domain, snapshot.

use std::collections::BTreeMap;
use std::io::{self, Write};

use zstd::stream::write::Encoder;

use crate::blobs::SealedBlob;
use crate::chunk::Key;
use crate::codec::{DecodeError, Decoder, put_i64, put_sized, put_u64, put_usize, read_deltas};
use crate::id::{DomainId, PackId, SnapshotId};
use crate::keys::{DomainKeys, KeyError, NONCE_BYTES, open, seal_in_place};
use crate::object::Coverage;

mod checkpoint;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod merged;
mod moves;

pub(crate) use checkpoint::Checkpoint;
pub(crate) use merged::Merged;
pub(crate) use moves::{LostRow, MovedPack, MovedRun, Moves};

const MAGIC: &[u8; 8] = b"ORGKREC\x01";
const LABEL: &[u8] = b"orgkeep record 1";
const VERSION: u8 = 1;
const WHAT: &str = "a snapshot record";
const RECORD_BYTES_MAX: usize = 1 << 30;
const COMPRESSION_LEVEL: i32 = 3;

/// Why a record cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The bytes do not open.
    #[error("could not open the snapshot record")]
    Key(#[source] KeyError),
    /// The bytes open, but cannot be read.
    #[error("could not read the snapshot record")]
    Decode(#[source] DecodeError),
    /// The keys of this epoch are missing.
    #[error("the record was sealed with the key of epoch {epoch}, which is not there")]
    NoEpoch {
        /// The epoch.
        epoch: u32,
    },
}

/// An id that is new with a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NewId {
    pub(crate) text: String,
    /// Whether it is a name, which may stand nowhere in the clear.
    pub(crate) is_name: bool,
}

/// Some rows of one chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Run {
    /// The pack, by its place in [`Record::packs`].
    pub(crate) pack: usize,
    /// The chunk, by its place in the pack.
    pub(crate) chunk: usize,
    /// The first row.
    pub(crate) first: usize,
    /// How many rows.
    pub(crate) rows: usize,
}

/// Where the latest observations of one bucket of objects lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Observations {
    pub(crate) bucket: u32,
    pub(crate) pack: usize,
    pub(crate) chunk: usize,
    pub(crate) digest: [u8; 16],
}

/// What changed of one type.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct TypeDelta {
    pub(crate) type_code: u16,
    /// New versions.
    pub(crate) runs: Vec<Run>,
    /// What is gone, in order.
    pub(crate) removed: Vec<Key>,
    /// New relations without a body, in order.
    pub(crate) related: Vec<Key>,
    pub(crate) observations: Vec<Observations>,
}

/// A snapshot record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) sequence: u32,
    pub(crate) parent: Option<SnapshotId>,
    pub(crate) created_at: i64,
    pub(crate) as_of: i64,
    pub(crate) watermark: Vec<u8>,
    pub(crate) ids_first: u32,
    pub(crate) ids: Vec<NewId>,
    pub(crate) packs: Vec<(PackId, u64)>,
    pub(crate) bytes_new: u64,
    pub(crate) coverage: BTreeMap<u16, Coverage>,
    pub(crate) counts: BTreeMap<u16, u64>,
    pub(crate) types: Vec<TypeDelta>,
}

/// The large parts of a record, encoded from where they are instead of being collected in it first.
pub(crate) struct Parts<'a> {
    /// How many ids are new.
    pub(crate) ids_count: usize,
    /// Shows the new ids, and whether they are names; called more than once.
    pub(crate) ids: &'a dyn Fn(&mut SeeId<'_>),
    /// How many types changed.
    pub(crate) types_count: usize,
    /// What [`put_delta`] wrote of them.
    pub(crate) types: &'a [Vec<u8>],
}

/// Sees an id, and whether it is a name.
type SeeId<'a> = dyn FnMut(&str, bool) + 'a;

/// Takes the next bytes of what is encoded.
type Put<'a> = dyn FnMut(&[u8]) -> io::Result<()> + 'a;

/// Ids are handed on when they take this many bytes.
const IDS_BYTES_AT_ONCE: usize = 64 * 1024;

/// What says which kind of blob it is: its first bytes, the label that is bound in, and its name in errors.
struct Form {
    magic: &'static [u8; 8],
    label: &'static [u8],
    what: &'static str,
}

const FORM: Form = Form {
    magic: MAGIC,
    label: LABEL,
    what: WHAT,
};

impl Form {
    /// `name` says which of its kind it is: a snapshot's id, or a number.
    fn aad(&self, domain: DomainId, name: &[u8; 8]) -> Vec<u8> {
        let mut aad = self.label.to_vec();
        aad.extend_from_slice(domain.as_bytes());
        aad.extend_from_slice(name);
        aad
    }

    /// Compresses and seals what `encode` gives, which is called twice: a blob holds the length first, and nothing is held but the blob.
    ///
    /// With the bytes as one, then compressed, packed and sealed, each in a copy, this was the peak of a first backup.
    fn seal(
        &self,
        keys: &DomainKeys,
        domain: DomainId,
        name: &[u8; 8],
        encode: &dyn Fn(&mut Put<'_>) -> io::Result<()>,
    ) -> Result<SealedBlob, KeyError> {
        let failed = |source| KeyError::Unavailable {
            what: format!("compressing {}", self.what),
            source,
        };
        let mut length = 0;
        encode(&mut |bytes| {
            length += bytes.len();
            Ok(())
        })
        .map_err(failed)?;
        let epoch = keys.newest().ok_or(KeyError::NotSealed)?;
        let mut blob = self.magic.to_vec();
        blob.extend_from_slice(&epoch.number.to_le_bytes());
        let sealed_from = blob.len();
        blob.extend_from_slice(&[0; NONCE_BYTES]);
        put_usize(&mut blob, length);
        let mut blob = compress(blob, length, encode).map_err(failed)?;
        let aad = self.aad(domain, name);
        seal_in_place(&epoch.record, &aad, &mut blob, sealed_from)?;
        Ok(SealedBlob::new(blob))
    }

    /// What [`seal`](Self::seal) took.
    fn open(
        &self,
        keys: &DomainKeys,
        domain: DomainId,
        name: &[u8; 8],
        blob: &[u8],
    ) -> Result<Vec<u8>, RecordError> {
        let broken = || RecordError::Decode(DecodeError::Broken { what: self.what });
        let (magic, rest) = blob.split_first_chunk::<8>().ok_or_else(broken)?;
        if magic != self.magic {
            let ([found @ .., version], [wanted @ .., _]) = (magic, self.magic);
            return Err(if found == wanted {
                RecordError::Decode(DecodeError::UnknownVersion {
                    what: self.what,
                    version: *version,
                })
            } else {
                broken()
            });
        }
        let (epoch, sealed) = rest.split_first_chunk::<4>().ok_or_else(broken)?;
        let epoch = u32::from_le_bytes(*epoch);
        let epoch_keys = keys.epoch(epoch).ok_or(RecordError::NoEpoch { epoch })?;
        let packed =
            open(&epoch_keys.record, &self.aad(domain, name), sealed).map_err(RecordError::Key)?;
        let mut from = Decoder::new(&packed, self.what);
        let length = from.usize().map_err(RecordError::Decode)?;
        if length > RECORD_BYTES_MAX {
            return Err(broken());
        }
        zstd::bulk::decompress(from.rest(), length).map_err(|_| broken())
    }
}

/// Adds one zstd frame of what `encode` gives, which are `length` bytes.
fn compress(
    blob: Vec<u8>,
    length: usize,
    encode: &dyn Fn(&mut Put<'_>) -> io::Result<()>,
) -> io::Result<Vec<u8>> {
    let mut encoder = Encoder::new(blob, COMPRESSION_LEVEL)?;
    encoder.set_pledged_src_size(u64::try_from(length).ok())?;
    encode(&mut |bytes| encoder.write_all(bytes))?;
    encoder.finish()
}

/// What `encode` gives, as one.
#[cfg(any(test, feature = "fuzzing"))]
fn collected(encode: &dyn Fn(&mut Put<'_>) -> io::Result<()>) -> Vec<u8> {
    let mut out = Vec::new();
    // Nothing can fail in memory.
    encode(&mut |bytes| {
        out.extend_from_slice(bytes);
        Ok(())
    })
    .ok();
    out
}

impl Record {
    /// The record as a blob.
    pub(crate) fn seal(
        &self,
        keys: &DomainKeys,
        domain: DomainId,
        snapshot: SnapshotId,
    ) -> Result<SealedBlob, KeyError> {
        FORM.seal(keys, domain, snapshot.as_bytes(), &|put| self.put(put))
    }

    /// The record from its blob.
    pub(crate) fn open(
        keys: &DomainKeys,
        domain: DomainId,
        snapshot: SnapshotId,
        blob: &[u8],
    ) -> Result<Self, RecordError> {
        let plain = FORM.open(keys, domain, snapshot.as_bytes(), blob)?;
        Self::decode(&plain).map_err(RecordError::Decode)
    }

    /// The record as a blob, where its large parts are not in it but in `parts`.
    pub(crate) fn seal_parts(
        &self,
        keys: &DomainKeys,
        domain: DomainId,
        snapshot: SnapshotId,
        parts: &Parts<'_>,
    ) -> Result<SealedBlob, KeyError> {
        FORM.seal(keys, domain, snapshot.as_bytes(), &|put| {
            self.put_parts(parts, put)
        })
    }

    #[cfg(any(test, feature = "fuzzing"))]
    fn encode(&self) -> Vec<u8> {
        collected(&|put| self.put(put))
    }

    /// Encodes the record.
    fn put(&self, put: &mut Put<'_>) -> io::Result<()> {
        let mut types = Vec::new();
        for delta in &self.types {
            delta.encode(&mut types);
        }
        let parts = Parts {
            ids_count: self.ids.len(),
            ids: &|see| self.ids.iter().for_each(|id| see(&id.text, id.is_name)),
            types_count: self.types.len(),
            types: &types,
        };
        self.put_parts(&parts, put)
    }

    fn put_parts(&self, parts: &Parts<'_>, put: &mut Put<'_>) -> io::Result<()> {
        let mut out = vec![VERSION];
        put_u64(&mut out, u64::from(self.sequence));
        match &self.parent {
            None => out.push(0),
            Some(parent) => {
                out.push(1);
                out.extend_from_slice(parent.as_bytes());
            }
        }
        put_i64(&mut out, self.created_at);
        put_i64(&mut out, self.as_of);
        put_sized(&mut out, &self.watermark);
        put_u64(&mut out, u64::from(self.ids_first));
        put_usize(&mut out, parts.ids_count);
        let mut done = Ok(());
        (parts.ids)(&mut |text, is_name| {
            put_usize(&mut out, text.len() << 1 | usize::from(is_name));
            out.extend_from_slice(text.as_bytes());
            if done.is_ok() && out.len() >= IDS_BYTES_AT_ONCE {
                done = put(&out);
                out.clear();
            }
        });
        done?;
        put_usize(&mut out, self.packs.len());
        for (pack, bytes) in &self.packs {
            out.extend_from_slice(pack.as_bytes());
            put_u64(&mut out, *bytes);
        }
        put_u64(&mut out, self.bytes_new);
        put_usize(&mut out, self.coverage.len());
        for (code, coverage) in &self.coverage {
            put_u64(&mut out, u64::from(*code));
            let (state, text) = match coverage {
                Coverage::Complete => (0, ""),
                Coverage::NotAvailable => (1, ""),
                Coverage::MissingScope { scope } => (2, scope.as_str()),
                Coverage::Incomplete { reason } => (3, reason.as_str()),
            };
            out.push(state);
            put_sized(&mut out, text.as_bytes());
        }
        put_usize(&mut out, self.counts.len());
        for (code, count) in &self.counts {
            put_u64(&mut out, u64::from(*code));
            put_u64(&mut out, *count);
        }
        put_usize(&mut out, parts.types_count);
        put(&out)?;
        parts.types.iter().try_for_each(|types| put(types))
    }

    fn decode(plain: &[u8]) -> Result<Self, DecodeError> {
        let mut from = Decoder::new(plain, WHAT);
        from.version(VERSION)?;
        let record = Self {
            sequence: from.u32()?,
            parent: match from.u8()? {
                0 => None,
                1 => Some(SnapshotId::from_bytes(from.array()?)),
                _ => return Err(from.broken()),
            },
            created_at: from.i64()?,
            as_of: from.i64()?,
            watermark: from.sized()?.to_vec(),
            ids_first: from.u32()?,
            ids: {
                let count = from.count()?;
                (0..count)
                    .map(|_| read_id(&mut from))
                    .collect::<Result<_, _>>()?
            },
            packs: {
                let count = from.count()?;
                (0..count)
                    .map(|_| Ok((PackId::from_bytes(from.array()?), from.u64()?)))
                    .collect::<Result<_, DecodeError>>()?
            },
            bytes_new: from.u64()?,
            coverage: {
                let count = from.count()?;
                (0..count)
                    .map(|_| read_coverage(&mut from))
                    .collect::<Result<_, _>>()?
            },
            counts: {
                let count = from.count()?;
                (0..count)
                    .map(|_| Ok((read_code(&mut from)?, from.u64()?)))
                    .collect::<Result<_, DecodeError>>()?
            },
            types: {
                let count = from.count()?;
                (0..count)
                    .map(|_| TypeDelta::decode(&mut from))
                    .collect::<Result<_, _>>()?
            },
        };
        from.end()?;
        let packs_named = record.types.iter().flat_map(|delta| {
            let runs = delta.runs.iter().map(|run| run.pack);
            runs.chain(delta.observations.iter().map(|found| found.pack))
        });
        if packs_named
            .max()
            .is_some_and(|most| most >= record.packs.len())
        {
            return Err(from.broken());
        }
        Ok(record)
    }
}

fn read_id(from: &mut Decoder<'_>) -> Result<NewId, DecodeError> {
    let coded = from.usize()?;
    let text = std::str::from_utf8(from.bytes(coded >> 1)?).map_err(|_| from.broken())?;
    Ok(NewId {
        text: text.to_owned(),
        is_name: coded & 1 == 1,
    })
}

fn read_code(from: &mut Decoder<'_>) -> Result<u16, DecodeError> {
    u16::try_from(from.u64()?).map_err(|_| from.broken())
}

fn read_coverage(from: &mut Decoder<'_>) -> Result<(u16, Coverage), DecodeError> {
    let code = read_code(from)?;
    let state = from.u8()?;
    let text = from.text()?.to_owned();
    let coverage = match state {
        0 => Coverage::Complete,
        1 => Coverage::NotAvailable,
        2 => Coverage::MissingScope { scope: text },
        3 => Coverage::Incomplete { reason: text },
        _ => return Err(from.broken()),
    };
    Ok((code, coverage))
}

impl TypeDelta {
    pub(crate) fn is_empty(&self) -> bool {
        self.runs.is_empty()
            && self.removed.is_empty()
            && self.related.is_empty()
            && self.observations.is_empty()
    }

    fn encode(&self, out: &mut Vec<Vec<u8>>) {
        let list = |keys: &[Key]| {
            let mut list = KeyList::default();
            keys.iter().for_each(|key| list.push(*key));
            list
        };
        put_delta(
            out,
            self.type_code,
            &self.runs,
            [list(&self.removed), list(&self.related)],
            &self.observations,
        );
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let type_code = read_code(from)?;
        let count = from.count()?;
        let mut runs = Vec::with_capacity(count);
        for _ in 0..count {
            runs.push(Run {
                pack: from.usize()?,
                chunk: from.usize()?,
                first: from.usize()?,
                rows: from.usize()?,
            });
        }
        let removed = read_keys(from)?;
        let related = read_keys(from)?;
        let count = from.count()?;
        let mut observations = Vec::with_capacity(count);
        for _ in 0..count {
            observations.push(Observations {
                bucket: from.u32()?,
                pack: from.usize()?,
                chunk: from.usize()?,
                digest: from.array()?,
            });
        }
        Ok(Self {
            type_code,
            runs,
            removed,
            related,
            observations,
        })
    }
}

/// Writes what changed of one type, in some pieces; the lists are what was removed and the new relations.
pub(crate) fn put_delta(
    pieces: &mut Vec<Vec<u8>>,
    type_code: u16,
    runs: &[Run],
    lists: [KeyList; 2],
    observations: &[Observations],
) {
    let mut out = Vec::new();
    put_u64(&mut out, u64::from(type_code));
    put_usize(&mut out, runs.len());
    for run in runs {
        put_usize(&mut out, run.pack);
        put_usize(&mut out, run.chunk);
        put_usize(&mut out, run.first);
        put_usize(&mut out, run.rows);
    }
    for list in lists {
        // The lists are large: they are not copied.
        let (count, list) = list.finish();
        put_usize(&mut out, count);
        pieces.extend([std::mem::take(&mut out), list]);
    }
    put_usize(&mut out, observations.len());
    for found in observations {
        put_u64(&mut out, u64::from(found.bucket));
        put_usize(&mut out, found.pack);
        put_usize(&mut out, found.chunk);
        out.extend_from_slice(&found.digest);
    }
    pieces.push(out);
}

/// A list of keys as a record holds it, by their parents: encoded as they come, which must be in order. One to two bytes a key.
#[derive(Debug, Default)]
pub(crate) struct KeyList {
    groups: usize,
    bytes: Vec<u8>,
    /// The parent of the group that is being collected, how many keys it has, the last of them, and their differences.
    parent: u32,
    count: usize,
    last: u32,
    differences: Vec<u8>,
    /// The parent of the group before it.
    parent_before: u32,
}

impl KeyList {
    pub(crate) fn push(&mut self, key: Key) {
        if self.count > 0 && key.parent != self.parent {
            self.close();
        }
        if self.count == 0 {
            self.parent = key.parent;
            self.last = 0;
        }
        put_i64(
            &mut self.differences,
            i64::from(key.key) - i64::from(self.last),
        );
        self.last = key.key;
        self.count += 1;
    }

    fn close(&mut self) {
        let difference = self.parent.wrapping_sub(self.parent_before);
        put_u64(&mut self.bytes, u64::from(difference));
        self.parent_before = self.parent;
        put_usize(&mut self.bytes, self.count);
        self.bytes.append(&mut self.differences);
        self.groups += 1;
        self.count = 0;
    }

    /// How many groups there are, and their bytes.
    fn finish(mut self) -> (usize, Vec<u8>) {
        if self.count > 0 {
            self.close();
        }
        (self.groups, self.bytes)
    }
}

fn read_keys(from: &mut Decoder<'_>) -> Result<Vec<Key>, DecodeError> {
    let groups = from.count()?;
    let mut keys = Vec::new();
    let mut parent = 0u32;
    for _ in 0..groups {
        parent = parent.wrapping_add(from.u32()?);
        let count = from.count()?;
        keys.extend(
            read_deltas(from, count)?
                .into_iter()
                .map(|key| Key { parent, key }),
        );
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn keys_in_order() -> impl Strategy<Value = Vec<Key>> {
        proptest::collection::btree_set((any::<u32>(), any::<u32>()), 0..20).prop_map(|keys| {
            keys.into_iter()
                .map(|(parent, key)| Key { parent, key })
                .collect()
        })
    }

    fn type_delta() -> impl Strategy<Value = TypeDelta> {
        let run = (0usize..2, any::<u16>(), any::<u16>(), any::<u16>()).prop_map(
            |(pack, chunk, first, rows)| Run {
                pack,
                chunk: chunk.into(),
                first: first.into(),
                rows: rows.into(),
            },
        );
        let observations = (any::<u32>(), 0usize..2, any::<u16>(), any::<[u8; 16]>()).prop_map(
            |(bucket, pack, chunk, digest)| Observations {
                bucket,
                pack,
                chunk: chunk.into(),
                digest,
            },
        );
        (
            any::<u16>(),
            proptest::collection::vec(run, 0..5),
            keys_in_order(),
            keys_in_order(),
            proptest::collection::vec(observations, 0..3),
        )
            .prop_map(
                |(type_code, runs, removed, related, observations)| TypeDelta {
                    type_code,
                    runs,
                    removed,
                    related,
                    observations,
                },
            )
    }

    pub(super) fn record() -> impl Strategy<Value = Record> {
        let coverage = prop_oneof![
            Just(Coverage::Complete),
            Just(Coverage::NotAvailable),
            ".{0,9}".prop_map(|scope| Coverage::MissingScope { scope }),
            ".{0,9}".prop_map(|reason| Coverage::Incomplete { reason }),
        ];
        (
            (
                any::<u32>(),
                any::<Option<[u8; 8]>>(),
                any::<i64>(),
                any::<i64>(),
                any::<Vec<u8>>(),
                any::<u32>(),
            ),
            proptest::collection::vec(
                (".{0,20}", any::<bool>()).prop_map(|(text, is_name)| NewId { text, is_name }),
                0..9,
            ),
            any::<[[u8; 8]; 2]>(),
            proptest::collection::btree_map(any::<u16>(), coverage, 0..4),
            proptest::collection::btree_map(any::<u16>(), any::<u64>(), 0..4),
            proptest::collection::vec(type_delta(), 0..4),
        )
            .prop_map(
                |(
                    (sequence, parent, created_at, as_of, watermark, ids_first),
                    ids,
                    packs,
                    coverage,
                    counts,
                    types,
                )| {
                    Record {
                        sequence,
                        parent: parent.map(SnapshotId::from_bytes),
                        created_at,
                        as_of,
                        watermark,
                        ids_first,
                        ids,
                        packs: packs.map(|pack| (PackId::from_bytes(pack), 7)).to_vec(),
                        bytes_new: 5,
                        coverage,
                        counts,
                        types,
                    }
                },
            )
    }

    proptest! {
        #[test]
        fn a_record_comes_back_and_only_under_its_name(record in record()) {
            let keys = DomainKeys::generate().unwrap();
            let (domain, snapshot) = (DomainId::from_bytes([1; 8]), SnapshotId::from_bytes([2; 8]));
            let blob = record.seal(&keys, domain, snapshot).unwrap();
            prop_assert_eq!(&Record::open(&keys, domain, snapshot, blob.as_bytes()).unwrap(), &record);
            prop_assert!(Record::open(&keys, domain, SnapshotId::from_bytes([3; 8]), blob.as_bytes()).is_err());
            prop_assert!(Record::open(&keys, DomainId::from_bytes([3; 8]), snapshot, blob.as_bytes()).is_err());
            let mut changed = blob.as_bytes().to_vec();
            let middle = changed.len() / 2;
            changed[middle] ^= 1;
            prop_assert!(Record::open(&keys, domain, snapshot, &changed).is_err());
        }

        #[test]
        fn changed_bytes_are_refused_or_read_but_never_panic(
            record in record(),
            changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        ) {
            let mut plain = record.encode();
            for (index, byte) in changes {
                let at = index.index(plain.len());
                plain[at] = byte;
            }
            Record::decode(&plain).ok();
        }
    }

    #[test]
    fn an_unknown_version_is_refused_by_its_number() {
        let keys = DomainKeys::generate().unwrap();
        let (domain, snapshot) = (DomainId::from_bytes([1; 8]), SnapshotId::from_bytes([2; 8]));
        let found = Record::open(&keys, domain, snapshot, b"ORGKREC\x07....");
        assert!(matches!(
            found,
            Err(RecordError::Decode(DecodeError::UnknownVersion {
                version: 7,
                ..
            }))
        ));
    }
}
