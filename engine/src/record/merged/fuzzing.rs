//! What must hold of any bytes that are taken for a merged record, once they are opened and unpacked.

use super::Merged;

/// A merged record that is read says the same when it is written and read again.
pub(crate) fn plain(data: &[u8]) -> bool {
    let Ok(merged) = Merged::decode(data) else {
        return false;
    };
    assert_eq!(Merged::decode(&merged.encode()).as_ref(), Ok(&merged));
    true
}
