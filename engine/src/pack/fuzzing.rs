//! What must hold of any bytes that are taken for a pack or its directory.

#[cfg(test)]
use super::directory_aad;
use super::{HEAD_BYTES, read_directory, read_entries};
use crate::id::{DomainId, PackId};
use crate::keys;

/// A directory is read or refused; its chunks lie one after another.
pub(crate) fn directory(data: &[u8]) -> bool {
    let Ok(entries) = read_entries(data) else {
        return false;
    };
    let mut offset = HEAD_BYTES as u64;
    for entry in &entries {
        assert_eq!(entry.offset, offset);
        offset += entry.bytes as u64;
    }
    true
}

/// A pack that our keys did not seal is refused.
pub(crate) fn whole(data: &[u8]) -> bool {
    let keys = keys::fuzzing::keys();
    let found = read_directory(
        &keys,
        DomainId::from_bytes([3; 8]),
        PackId::from_bytes([4; 8]),
        data,
    );
    found.is_ok()
}

/// What stands in the directory of a pack, as a seed.
#[cfg(test)]
pub(crate) fn seed(
    keys: &keys::DomainKeys,
    domain: DomainId,
    pack: PackId,
    blob: &[u8],
) -> Vec<u8> {
    let found = || {
        let (rest, tail) = blob.split_last_chunk::<12>()?;
        let [a, b, c, d, ..] = *tail;
        let length = usize::try_from(u32::from_le_bytes([a, b, c, d])).ok()?;
        let (_, sealed) = rest.split_at_checked(rest.len().checked_sub(length)?)?;
        let aad = directory_aad(domain, pack);
        keys::open(&keys.newest()?.chunk, &aad, sealed).ok()
    };
    found().map(|plain| plain.to_vec()).unwrap_or_default()
}
