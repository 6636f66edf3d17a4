//! What must hold of any bytes that are taken for a record, once they are opened and unpacked.

use super::Record;
#[cfg(test)]
use crate::id::{DomainId, SnapshotId};
#[cfg(test)]
use crate::keys::DomainKeys;

pub(crate) use super::checkpoint::fuzzing::plain as checkpoint;
pub(crate) use super::merged::fuzzing::plain as merged;
pub(crate) use super::moves::fuzzing::plain as moves;

/// A record that is read says the same when it is written and read again.
pub(crate) fn plain(data: &[u8]) -> bool {
    let Ok(record) = Record::decode(data) else {
        return false;
    };
    assert_eq!(Record::decode(&record.encode()).as_ref(), Ok(&record));
    true
}

/// What stands in a record's blob, as a seed.
#[cfg(test)]
pub(crate) fn seed(
    keys: &DomainKeys,
    domain: DomainId,
    snapshot: SnapshotId,
    blob: &[u8],
) -> Vec<u8> {
    let record = Record::open(keys, domain, snapshot, blob);
    record.map(|record| record.encode()).unwrap_or_default()
}
