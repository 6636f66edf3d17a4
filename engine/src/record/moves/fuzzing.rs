//! What must hold of any bytes that are taken for a list of moves, once they are opened and unpacked.

use super::Moves;

/// Moves that are read say the same when they are written and read again.
pub(crate) fn plain(data: &[u8]) -> bool {
    let Ok(moves) = Moves::decode(data) else {
        return false;
    };
    assert_eq!(Moves::decode(&moves.encode()).as_ref(), Ok(&moves));
    true
}
