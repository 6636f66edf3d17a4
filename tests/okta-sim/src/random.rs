//! Seeded, order-free randomness: every value is a hash of the seed and of what it is for.

/// Mixes 64 bits so that close inputs give unrelated outputs (the finaliser of splitmix64).
pub(crate) fn mix(value: u64) -> u64 {
    let mut x = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// The hash for purpose `salt` of the thing numbered `n` under `seed`.
pub(crate) fn hash(seed: u64, salt: u64, n: u64) -> u64 {
    mix(mix(seed ^ salt.wrapping_mul(0xd6e8_feb8_6659_fd93)) ^ n)
}

/// `hash` reduced below `bound`; zero for a zero bound.
pub(crate) fn below(hash: u64, bound: u64) -> u64 {
    hash.checked_rem(bound).unwrap_or(0)
}

/// `hash` reduced to an index below `len`.
pub(crate) fn index(hash: u64, len: usize) -> usize {
    usize::try_from(below(hash, len as u64)).unwrap_or(0)
}

/// The entry of `table` that `hash` chooses.
pub(crate) fn pick(table: &[&'static str], hash: u64) -> &'static str {
    table.get(index(hash, table.len())).copied().unwrap_or("")
}

/// A stream of hashes, for loops that need many.
#[derive(Debug, Clone)]
pub(crate) struct Stream(u64);

impl Stream {
    /// A stream that depends on the seed and the salt alone.
    pub(crate) fn new(seed: u64, salt: u64) -> Self {
        Self(hash(seed, salt, 0))
    }

    /// The next hash.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }
}
