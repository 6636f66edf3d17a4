//! What stands in the place of a version whose content is lost.
//!
//! A tombstone is kept like an object, in the place of one: chunks, records, moves and the index treat it as content like any other, so
//! that it survives whatever they do. Reading it gives [`StoreError::Lost`](super::StoreError::Lost), never its bytes. Because its
//! content is not that of the object, the next backup stores the object again.
//!
//! Form, canonical JSON: `{"orgkeep lost version":{"fingerprint":"0123456789abcdef","since":12}}`: the first 8 bytes of the
//! lost content's id, and the sequence number of the newest snapshot when the loss was found: a later one that has the type completely has seen whether
//! the org still has that content. No object of an org has such a member.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use crate::id::hex;

const START: &[u8] = br#"{"orgkeep lost version":"#;

/// A version whose content is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tombstone {
    /// The fingerprint of the lost content.
    pub(super) fingerprint: i64,
    /// The sequence number of the newest snapshot when the loss was found; 0 if there was none.
    pub(super) since: u32,
}

#[derive(Serialize, Deserialize)]
struct Outer {
    #[serde(rename = "orgkeep lost version")]
    lost: Inner,
}

#[derive(Serialize, Deserialize)]
struct Inner {
    fingerprint: String,
    since: u32,
}

impl Tombstone {
    /// How many bytes one has.
    pub(super) const BYTES: RangeInclusive<usize> = 69..=78;

    /// The tombstone that a body is; `None` for an object.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        if !body.starts_with(START) {
            return None;
        }
        let outer: Outer = serde_json::from_slice(body).ok()?;
        let number = u64::from_str_radix(&outer.lost.fingerprint, 16).ok()?;
        Some(Self {
            fingerprint: i64::from_be_bytes(number.to_be_bytes()),
            since: outer.lost.since,
        })
    }

    /// The body that stands for it.
    pub(super) fn body(self) -> Vec<u8> {
        let outer = Outer {
            lost: Inner {
                fingerprint: hex(&self.fingerprint.to_be_bytes()),
                since: self.since,
            },
        };
        // A text and a number always serialise.
        serde_json::to_vec(&outer).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tombstone_is_told_from_an_object() {
        for fingerprint in [0, 1, -1, i64::MIN, i64::MAX] {
            for since in [0, 7, u32::MAX] {
                let tombstone = Tombstone { fingerprint, since };
                let body = tombstone.body();
                assert_eq!(Tombstone::read(&body), Some(tombstone));
                assert!(Tombstone::BYTES.contains(&body.len()));
            }
        }
        let one = Tombstone {
            fingerprint: 0x0123_4567_89ab_cdef,
            since: 12,
        };
        assert_eq!(
            one.body(),
            br#"{"orgkeep lost version":{"fingerprint":"0123456789abcdef","since":12}}"#
        );
        for object in [
            &br#"{"id":"00u1"}"#[..],
            b"",
            br#"{"orgkeep lost version":1}"#,
        ] {
            assert_eq!(Tombstone::read(object), None);
        }
    }
}
