//! Identifiers for what the store and the daemon keep.
//!
//! Every identifier is its own type, so a pack can never be looked up by an object's id.
//! The text forms are stable: they appear in the API, in logs, in blob names and in the index.

use std::fmt;
use std::str::FromStr;

/// Why a text is not an identifier of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {wanted}")]
pub struct IdError {
    text: String,
    wanted: &'static str,
}

/// Writes bytes as lower-case hex digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] = [
        '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f',
    ];
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 0x0f])
        .filter_map(|nibble| DIGITS.get(usize::from(nibble)))
        .collect()
}

/// Reads exactly `N` bytes from `2 * N` lower-case hex digits; anything else is `None`.
#[must_use]
pub fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != N.checked_mul(2)? {
        return None;
    }
    let mut bytes = [0u8; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        for digit in pair {
            let nibble = match digit {
                b'0'..=b'9' => digit - b'0',
                b'a'..=b'f' => digit - b'a' + 10,
                _ => return None,
            };
            *byte = (*byte << 4) | nibble;
        }
    }
    Some(bytes)
}

macro_rules! hex_id {
    ($(#[$doc:meta])* $name:ident, $len:literal, $wanted:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; $len]);

        impl $name {
            /// The identifier made of exactly these bytes.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; $len]) -> Self {
                Self(bytes)
            }

            /// The bytes, as stored formats hold them.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                unhex(text).map(Self).ok_or_else(|| IdError { text: text.to_owned(), wanted: $wanted })
            }
        }
    };
}

macro_rules! random_id {
    ($name:ident) => {
        impl $name {
            /// A fresh random identifier.
            ///
            /// # Errors
            ///
            /// When the operating system gives no randomness.
            pub fn random() -> Result<Self, getrandom::Error> {
                let mut bytes = [0u8; 8];
                getrandom::fill(&mut bytes)?;
                Ok(Self(bytes))
            }
        }
    };
}

hex_id! {
    /// Names an object's content: the keyed BLAKE3 hash of its canonical JSON, cut to 128 bits.
    ///
    /// Text form: 32 lower-case hex digits. Equal content in one domain has one id; the key
    /// differs between domains, so an id tells an outsider nothing about the content.
    ContentId, 16, "a content id (32 hex digits)"
}

impl ContentId {
    /// The first 64 bits, which the index keeps to tell a changed object from an unchanged one.
    #[must_use]
    pub fn fingerprint(&self) -> i64 {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        i64::from_le_bytes([a, b, c, d, e, f, g, h])
    }
}

hex_id! {
    /// Names a registered domain for good, whatever its name becomes. Text form: 16 hex digits.
    DomainId, 8, "a domain id (16 hex digits)"
}
random_id!(DomainId);
hex_id! {
    /// Names a snapshot, unique over all domains. Text form: 16 hex digits.
    SnapshotId, 8, "a snapshot id (16 hex digits)"
}
random_id!(SnapshotId);
hex_id! {
    /// Names a pack. Text form: 16 hex digits.
    PackId, 8, "a pack id (16 hex digits)"
}
random_id!(PackId);
hex_id! {
    /// Names a restore plan. Text form: 16 hex digits.
    PlanId, 8, "a restore plan id (16 hex digits)"
}
random_id!(PlanId);
hex_id! {
    /// Names a job. Text form: 16 hex digits.
    JobId, 8, "a job id (16 hex digits)"
}
random_id!(JobId);

/// The name of a registered domain: `[a-z0-9][a-z0-9._-]{0,62}`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DomainName(String);

impl DomainName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DomainName({})", self.0)
    }
}

impl FromStr for DomainName {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let first_ok = text
            .bytes()
            .next()
            .is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let rest_ok = text.bytes().all(|b| {
            b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-')
        });
        if first_ok && rest_ok && text.len() <= 63 {
            Ok(Self(text.to_owned()))
        } else {
            Err(IdError {
                text: text.to_owned(),
                wanted: "a domain name ([a-z0-9][a-z0-9._-]{0,62})",
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_ids_read_back_what_they_print() {
        let id = SnapshotId::from_bytes([0, 1, 2, 0xab, 0xcd, 0xef, 0x10, 0xff]);
        assert_eq!(id.to_string(), "000102abcdef10ff");
        assert_eq!("000102abcdef10ff".parse(), Ok(id));
    }

    #[test]
    fn hex_ids_refuse_other_lengths_and_letters() {
        for text in [
            "",
            "00",
            "000102ABCDEF10FF",
            "000102abcdef10fg",
            "000102abcdef10ff00",
        ] {
            assert!(text.parse::<SnapshotId>().is_err(), "{text}");
        }
    }

    #[test]
    fn domain_names_follow_the_grammar() {
        for good in ["a", "acme", "acme-prod.eu_1", "0x"] {
            assert!(good.parse::<DomainName>().is_ok(), "{good}");
        }
        let long = "a".repeat(64);
        for bad in ["", "-a", ".a", "Acme", "a b", "a/b", long.as_str()] {
            assert!(bad.parse::<DomainName>().is_err(), "{bad}");
        }
    }
}
