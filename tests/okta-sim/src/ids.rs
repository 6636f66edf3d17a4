//! Okta ids: three letters for the type, then what looks random.
//!
//! An id is its object's number, enciphered under the seed and the prefix, so that an id can be
//! resolved without a table and is never given twice.

use crate::random::mix;

/// The 62 digits of an id, in value order.
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Digits of the enciphered number: 62^11 exceeds 2^64.
const NUMBER_DIGITS: usize = 11;
/// An odd multiplier and its inverse modulo 2^64.
const ODD: u64 = 0xd134_2543_de82_ef95;

/// Makes and resolves the ids of one org.
#[derive(Debug, Clone)]
pub(crate) struct IdMint {
    seed: u64,
    inverse: u64,
    suffix: String,
    next: u64,
}

impl IdMint {
    /// The mint of the org generated from `seed`.
    pub(crate) fn new(seed: u64) -> Self {
        let mut suffix = String::new();
        push_base62(&mut suffix, mix(seed ^ 0x0605_0403), NUMBER_DIGITS);
        suffix.truncate(6);
        Self {
            seed,
            inverse: inverse(ODD),
            suffix,
            next: 1 << 40,
        }
    }

    /// The id of the object numbered `n`: 20 characters.
    pub(crate) fn text(&self, prefix: &str, n: u64) -> String {
        let mut out = String::with_capacity(20);
        self.push(&mut out, prefix, n);
        out
    }

    /// Appends the id of the object numbered `n`.
    pub(crate) fn push(&self, out: &mut String, prefix: &str, n: u64) {
        out.push_str(prefix);
        let mut x = n ^ self.key(prefix);
        x = x.wrapping_mul(ODD);
        x ^= x >> 32;
        x = x.wrapping_mul(ODD);
        x ^= x >> 32;
        push_base62(out, x, NUMBER_DIGITS);
        out.push_str(&self.suffix);
    }

    /// The number behind an id of this org and prefix; `None` for any other text.
    pub(crate) fn number(&self, prefix: &str, id: &str) -> Option<u64> {
        let digits = id
            .strip_prefix(prefix)?
            .strip_suffix(self.suffix.as_str())?;
        if digits.len() != NUMBER_DIGITS {
            return None;
        }
        let mut x: u64 = 0;
        for byte in digits.bytes() {
            let digit = DIGITS.iter().position(|d| *d == byte)?;
            x = x.checked_mul(62)?.checked_add(digit as u64)?;
        }
        x ^= x >> 32;
        x = x.wrapping_mul(self.inverse);
        x ^= x >> 32;
        x = x.wrapping_mul(self.inverse);
        Some(x ^ self.key(prefix))
    }

    /// The number behind an id, where numbers are small.
    pub(crate) fn ordinal(&self, prefix: &str, id: &str) -> Option<u32> {
        self.number(prefix, id).and_then(|n| u32::try_from(n).ok())
    }

    /// A fresh id, never used again.
    pub(crate) fn fresh(&mut self, prefix: &str) -> String {
        self.next += 1;
        self.text(prefix, self.next)
    }

    fn key(&self, prefix: &str) -> u64 {
        let tag = prefix
            .bytes()
            .fold(0u64, |sum, byte| (sum << 8) | u64::from(byte));
        mix(self.seed ^ tag.rotate_left(17))
    }
}

fn push_base62(out: &mut String, value: u64, digits: usize) {
    let mut buffer = [b'0'; NUMBER_DIGITS];
    let mut rest = value;
    for slot in buffer.iter_mut().take(digits).rev() {
        let digit = usize::try_from(rest % 62).unwrap_or(0);
        *slot = DIGITS.get(digit).copied().unwrap_or(b'0');
        rest /= 62;
    }
    out.extend(buffer.iter().take(digits).map(|byte| char::from(*byte)));
}

/// The inverse of an odd number modulo 2^64, by Newton's iteration.
fn inverse(odd: u64) -> u64 {
    let mut x = odd;
    for _ in 0..6 {
        x = x.wrapping_mul(2u64.wrapping_sub(odd.wrapping_mul(x)));
    }
    x
}

#[cfg(test)]
mod tests {
    use super::IdMint;

    #[test]
    fn an_id_resolves_to_its_number_and_no_other_prefix_does() {
        let mint = IdMint::new(7);
        for n in [0, 1, 2, 99_999, 1 << 40, u64::MAX] {
            let id = mint.text("00u", n);
            assert_eq!(id.len(), 20, "{id}");
            assert_eq!(mint.number("00u", &id), Some(n));
        }
        assert_eq!(mint.number("00g", &mint.text("00u", 5)), None);
        assert_eq!(mint.number("00u", "00u"), None);
        assert_ne!(mint.text("00u", 5).get(3..), mint.text("00g", 5).get(3..));
        assert_ne!(mint.text("00u", 5), IdMint::new(8).text("00u", 5));
    }
}
