//! What must hold of any bytes that are taken for a checkpoint, once they are opened and unpacked.

use super::Checkpoint;

/// A checkpoint that is read says the same when it is written and read again.
pub(crate) fn plain(data: &[u8]) -> bool {
    let Ok(checkpoint) = Checkpoint::decode(data) else {
        return false;
    };
    let again = Checkpoint::decode(&checkpoint.encode());
    assert_eq!(again.as_ref(), Ok(&checkpoint));
    true
}
