//! Lays sealed chunks out in a pack with its sealed directory, and finds them again.
//!
//! A pack is the unit of writing and of durability: one blob, written whole, never modified. Each chunk is sealed with
//! the domain, the pack, its place, its kind and its type as associated data, so that none can stand in for another.
//!
//! # Format, version 1
//!
//! | bytes | content |
//! | --- | --- |
//! | 8 | `ORGKPAK\x01` |
//! | 4 | the epoch of the data key, little-endian |
//! | … | sealed chunks, one after another (nonce, then sealed bytes: see [`keys`](crate::keys)) |
//! | … | the sealed directory |
//! | 4 | the length of the sealed directory, little-endian |
//! | 8 | `ORGKDIR\x01` |
//!
//! The directory: `0x01`, the number of chunks, then for each its kind (1 byte: 1 = objects, 2 = observations), the code of its type, its sealed
//! length and its number of rows (varints).
//!
//! All of it is sealed with the chunk key. Associated data of a chunk: `orgkeep chunk 1`, domain (8 bytes), pack (8), its place from 0
//! (varint), its kind (1), the code of its type (2, little-endian); of the directory: `orgkeep directory 1`, domain, pack.

use crate::blobs::SealedBlob;
use crate::codec::{DecodeError, Decoder, put_u64, put_usize};
use crate::id::{DomainId, PackId};
use crate::keys::{DomainKeys, EpochKeys, KeyError, open, seal};

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;

const HEAD: &[u8; 8] = b"ORGKPAK\x01";
const TAIL: &[u8; 8] = b"ORGKDIR\x01";
const HEAD_BYTES: usize = 12;
const TAIL_BYTES: usize = 12;
const VERSION: u8 = 1;
const WHAT: &str = "a pack";

/// A pack is put when it has this many bytes: large enough that files are few, small enough to be held in memory.
pub(crate) const PACK_BYTES_TARGET: usize = 8 * 1024 * 1024;

/// What a chunk holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Versions of objects.
    Objects,
    /// The latest of what moves by itself.
    Observations,
}

impl Kind {
    fn code(self) -> u8 {
        match self {
            Self::Objects => 1,
            Self::Observations => 2,
        }
    }

    fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Objects),
            2 => Some(Self::Observations),
            _ => None,
        }
    }
}

/// Where a chunk lies in its pack, and what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ChunkEntry {
    pub(crate) kind: Kind,
    pub(crate) type_code: u16,
    pub(crate) offset: u64,
    pub(crate) bytes: usize,
    pub(crate) rows: usize,
}

/// Why a pack or a chunk of it cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// The bytes do not open, or no key of this epoch is there.
    #[error("could not open a chunk or the directory of the pack")]
    Key(#[source] KeyError),
    /// The bytes open, but cannot be read.
    #[error("could not read the pack")]
    Decode(#[source] DecodeError),
    /// The keys of this epoch are missing.
    #[error("the pack was sealed with the key of epoch {epoch}, which is not there")]
    NoEpoch {
        /// The epoch.
        epoch: u32,
    },
}

/// Collects sealed chunks into a pack.
#[derive(Debug)]
pub(crate) struct PackWriter {
    domain: DomainId,
    id: PackId,
    bytes: Vec<u8>,
    entries: Vec<ChunkEntry>,
}

impl PackWriter {
    pub(crate) fn new(domain: DomainId, epoch: u32) -> Result<Self, KeyError> {
        let mut bytes = HEAD.to_vec();
        bytes.extend_from_slice(&epoch.to_le_bytes());
        Ok(Self {
            domain,
            id: PackId::random()?,
            bytes,
            entries: Vec::new(),
        })
    }

    pub(crate) fn id(&self) -> PackId {
        self.id
    }

    pub(crate) fn is_full(&self) -> bool {
        self.bytes.len() >= PACK_BYTES_TARGET
    }

    /// Seals a chunk and adds it; gives its place.
    pub(crate) fn add(
        &mut self,
        keys: &EpochKeys,
        kind: Kind,
        type_code: u16,
        rows: usize,
        chunk: &[u8],
    ) -> Result<usize, KeyError> {
        let place = self.entries.len();
        let aad = chunk_aad(self.domain, self.id, place, kind, type_code);
        let sealed = seal(&keys.chunk, &aad, chunk)?;
        self.entries.push(ChunkEntry {
            kind,
            type_code,
            offset: self.bytes.len() as u64,
            bytes: sealed.len(),
            rows,
        });
        if self.bytes.len() + sealed.len() > self.bytes.capacity() {
            // Doubling would take twice what a full pack needs. What is not written to takes no memory.
            let room = (PACK_BYTES_TARGET + sealed.len()).saturating_sub(self.bytes.len());
            self.bytes.reserve_exact(room.max(sealed.len()));
        }
        self.bytes.extend_from_slice(&sealed);
        Ok(place)
    }

    /// The pack's bytes, and what lies where.
    pub(crate) fn finish(
        mut self,
        keys: &EpochKeys,
    ) -> Result<(SealedBlob, Vec<ChunkEntry>), KeyError> {
        let mut directory = vec![VERSION];
        put_usize(&mut directory, self.entries.len());
        for entry in &self.entries {
            directory.push(entry.kind.code());
            put_u64(&mut directory, u64::from(entry.type_code));
            put_usize(&mut directory, entry.bytes);
            put_usize(&mut directory, entry.rows);
        }
        let sealed = seal(
            &keys.chunk,
            &directory_aad(self.domain, self.id),
            &directory,
        )?;
        let length = u32::try_from(sealed.len()).map_err(|_| KeyError::NotSealed)?;
        self.bytes.extend_from_slice(&sealed);
        self.bytes.extend_from_slice(&length.to_le_bytes());
        self.bytes.extend_from_slice(TAIL);
        Ok((SealedBlob::new(self.bytes), self.entries))
    }
}

fn chunk_aad(domain: DomainId, pack: PackId, place: usize, kind: Kind, type_code: u16) -> Vec<u8> {
    let mut aad = b"orgkeep chunk 1".to_vec();
    aad.extend_from_slice(domain.as_bytes());
    aad.extend_from_slice(pack.as_bytes());
    put_usize(&mut aad, place);
    aad.push(kind.code());
    aad.extend_from_slice(&type_code.to_le_bytes());
    aad
}

fn directory_aad(domain: DomainId, pack: PackId) -> Vec<u8> {
    let mut aad = b"orgkeep directory 1".to_vec();
    aad.extend_from_slice(domain.as_bytes());
    aad.extend_from_slice(pack.as_bytes());
    aad
}

/// Opens a chunk's sealed bytes.
pub(crate) fn open_chunk(
    keys: &DomainKeys,
    epoch: u32,
    domain: DomainId,
    pack: PackId,
    place: usize,
    entry: &ChunkEntry,
    sealed: &[u8],
) -> Result<Vec<u8>, PackError> {
    let keys = keys.epoch(epoch).ok_or(PackError::NoEpoch { epoch })?;
    let aad = chunk_aad(domain, pack, place, entry.kind, entry.type_code);
    let mut plain = open(&keys.chunk, &aad, sealed).map_err(PackError::Key)?;
    // Taken, not copied: a copy would be made only for the original to be wiped.
    Ok(std::mem::take(&mut *plain))
}

/// Reads the epoch and the directory of a whole pack.
pub(crate) fn read_directory(
    keys: &DomainKeys,
    domain: DomainId,
    pack: PackId,
    bytes: &[u8],
) -> Result<(u32, Vec<ChunkEntry>), PackError> {
    const BROKEN: PackError = PackError::Decode(DecodeError::Broken { what: WHAT });
    let (head, rest) = bytes.split_first_chunk::<8>().ok_or(BROKEN)?;
    check_magic(head, HEAD)?;
    let (epoch, rest) = rest.split_first_chunk::<4>().ok_or(BROKEN)?;
    let epoch = u32::from_le_bytes(*epoch);
    let (rest, tail) = rest.split_last_chunk::<8>().ok_or(BROKEN)?;
    check_magic(tail, TAIL)?;
    let (rest, length) = rest.split_last_chunk::<4>().ok_or(BROKEN)?;
    let length = usize::try_from(u32::from_le_bytes(*length)).map_err(|_| BROKEN)?;
    let chunks_bytes = rest.len().checked_sub(length).ok_or(BROKEN)?;
    let (_, sealed) = rest.split_at_checked(chunks_bytes).ok_or(BROKEN)?;
    let epoch_keys = keys.epoch(epoch).ok_or(PackError::NoEpoch { epoch })?;
    let plain =
        open(&epoch_keys.chunk, &directory_aad(domain, pack), sealed).map_err(PackError::Key)?;
    let entries = read_entries(&plain).map_err(PackError::Decode)?;
    let end = entries
        .last()
        .map_or(HEAD_BYTES as u64, |last| last.offset + last.bytes as u64);
    if end == (HEAD_BYTES + chunks_bytes) as u64
        && bytes.len() == HEAD_BYTES + chunks_bytes + length + TAIL_BYTES
    {
        Ok((epoch, entries))
    } else {
        Err(BROKEN)
    }
}

fn check_magic(found: &[u8; 8], wanted: &[u8; 8]) -> Result<(), PackError> {
    if found == wanted {
        return Ok(());
    }
    let ([name @ .., version], [wanted_name @ .., _]) = (found, wanted);
    Err(PackError::Decode(if name == wanted_name {
        DecodeError::UnknownVersion {
            what: WHAT,
            version: *version,
        }
    } else {
        DecodeError::Broken { what: WHAT }
    }))
}

fn read_entries(plain: &[u8]) -> Result<Vec<ChunkEntry>, DecodeError> {
    let mut from = Decoder::new(plain, "a pack's directory");
    from.version(VERSION)?;
    let count = from.count()?;
    let mut offset = HEAD_BYTES as u64;
    let mut entries = Vec::with_capacity(count);
    for _ in 0..count {
        let kind = Kind::from_code(from.u8()?).ok_or(from.broken())?;
        let type_code = u16::try_from(from.u64()?).map_err(|_| from.broken())?;
        let bytes = from.usize()?;
        let rows = from.usize()?;
        entries.push(ChunkEntry {
            kind,
            type_code,
            offset,
            bytes,
            rows,
        });
        offset = offset.checked_add(bytes as u64).ok_or(from.broken())?;
    }
    from.end()?;
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DOMAIN: DomainId = DomainId::from_bytes([3; 8]);

    fn pack(keys: &DomainKeys, chunks: &[Vec<u8>]) -> (PackId, Vec<u8>, Vec<ChunkEntry>) {
        let mut writer = PackWriter::new(DOMAIN, 1).unwrap();
        let id = writer.id();
        for (place, chunk) in chunks.iter().enumerate() {
            let kind = if place % 2 == 0 {
                Kind::Objects
            } else {
                Kind::Observations
            };
            assert_eq!(
                writer
                    .add(keys.newest().unwrap(), kind, 7, place, chunk)
                    .unwrap(),
                place
            );
        }
        let (blob, entries) = writer.finish(keys.newest().unwrap()).unwrap();
        (id, blob.as_bytes().to_vec(), entries)
    }

    fn read(
        keys: &DomainKeys,
        id: PackId,
        bytes: &[u8],
        place: usize,
        entry: &ChunkEntry,
    ) -> Result<Vec<u8>, PackError> {
        let start = usize::try_from(entry.offset).unwrap();
        open_chunk(
            keys,
            1,
            DOMAIN,
            id,
            place,
            entry,
            &bytes[start..start + entry.bytes],
        )
    }

    proptest! {
        #[test]
        fn chunks_come_back_from_their_places(chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..50), 0..6)) {
            let keys = DomainKeys::generate().unwrap();
            let (id, bytes, entries) = pack(&keys, &chunks);
            let (epoch, found) = read_directory(&keys, DOMAIN, id, &bytes).unwrap();
            prop_assert_eq!(epoch, 1);
            prop_assert_eq!(&found, &entries);
            for (place, chunk) in chunks.iter().enumerate() {
                prop_assert_eq!(&read(&keys, id, &bytes, place, &entries[place]).unwrap(), chunk);
            }
        }

        #[test]
        fn any_directory_is_read_or_refused(plain in proptest::collection::vec(any::<u8>(), 0..40)) {
            read_entries(&plain).ok();
        }
    }

    #[test]
    fn a_chunk_opens_only_in_its_own_place() {
        let keys = DomainKeys::generate().unwrap();
        let (id, bytes, entries) =
            pack(&keys, &[b"one".to_vec(), b"two".to_vec(), b"six".to_vec()]);
        assert!(read(&keys, id, &bytes, 2, &entries[0]).is_err());
        assert!(read(&keys, PackId::from_bytes([0; 8]), &bytes, 0, &entries[0]).is_err());
        let mut other_type = entries[0];
        other_type.type_code = 8;
        assert!(read(&keys, id, &bytes, 0, &other_type).is_err());
        assert!(open_chunk(&keys, 2, DOMAIN, id, 0, &entries[0], b"").is_err());
    }

    #[test]
    fn a_changed_pack_is_noticed_at_its_directory_or_its_chunk() {
        let keys = DomainKeys::generate().unwrap();
        let (id, bytes, entries) = pack(&keys, &[b"one".to_vec(), b"two".to_vec()]);
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 0x10;
            let whole = read_directory(&keys, DOMAIN, id, &changed).is_ok()
                && entries
                    .iter()
                    .enumerate()
                    .all(|(place, entry)| read(&keys, id, &changed, place, entry).is_ok());
            assert!(!whole, "{at}");
            assert!(
                read_directory(&keys, DOMAIN, id, &bytes[..at]).is_err(),
                "{at}"
            );
        }
        let mut newer = bytes;
        newer[7] = 2;
        assert!(matches!(
            read_directory(&keys, DOMAIN, id, &newer),
            Err(PackError::Decode(DecodeError::UnknownVersion {
                version: 2,
                ..
            }))
        ));
    }
}
