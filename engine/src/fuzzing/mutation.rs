//! Changed seeds, the same ones each time.

/// Bytes that mean something to one of the parsers.
const TOKENS: &[&[u8]] = &[
    b"\"",
    b"\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\\u0000",
    b"\\ud800",
    b"\\udc00",
    b"null",
    b"true",
    b"-0",
    b"1e999",
    b"0.10",
    b"\xff",
    b"\xc3\xa9",
    b"\xe2\x98\x83",
    b"\x00",
    b"\x01",
    b"\x80",
    b"\xff\xff\xff\xff\x0f",
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    b"<",
    b">",
    b";",
    b"rel=\"next\"",
    b"..",
    b"/",
    b"%2e",
    b"%",
    b"?",
    b"#",
    b"@",
    b"every 1m",
    b"*",
    b"0 0 29 2 *",
    b"within=1h",
    b"\n",
    b"\r\n",
    b"=",
    b"\"id\":",
    b"\"_links\":",
    b"2026-02-30T00:00:00.000Z",
    b"2026-01-31T23:59:59.000Z",
];

/// The longest input that is made, in bytes.
const LENGTH_MAX: usize = 4096;

/// Gives seeds with some changes each: bytes set, flipped, cut, doubled, put in, taken from another seed.
#[derive(Debug, Clone)]
pub struct Mutations<'a> {
    seeds: &'a [Vec<u8>],
    state: u64,
}

impl<'a> Mutations<'a> {
    /// Changes of these seeds.
    #[must_use]
    pub fn of(seeds: &'a [Vec<u8>]) -> Self {
        Self {
            seeds,
            state: 0x9e37_79b9_7f4a_7c15,
        }
    }

    /// A number below `bound`, or 0.
    fn below(&mut self, bound: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        let bound = u64::try_from(bound.max(1)).unwrap_or(1);
        usize::try_from((self.state >> 11) % bound).unwrap_or_default()
    }

    fn byte(&mut self) -> u8 {
        u8::try_from(self.below(256)).unwrap_or_default()
    }

    fn part(&mut self, bytes: &[u8]) -> Vec<u8> {
        let from = self.below(bytes.len());
        let length = 1 + self.below(16);
        bytes.iter().skip(from).take(length).copied().collect()
    }

    fn change(&mut self, bytes: &mut Vec<u8>) {
        let at = self.below(bytes.len());
        match self.below(7) {
            0 => {
                let value = self.byte();
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = value;
                }
            }
            1 => {
                let bit = self.below(8);
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << bit;
                }
            }
            2 => bytes.truncate(at),
            3 => {
                let end = (at + 1 + self.below(8)).min(bytes.len());
                bytes.drain(at.min(end)..end);
            }
            4 => {
                let part = self.part(&bytes.clone());
                bytes.splice(at..at, part);
            }
            5 => {
                let token = TOKENS.get(self.below(TOKENS.len())).copied();
                bytes.splice(at..at, token.unwrap_or_default().iter().copied());
            }
            _ => {
                let other = self.below(self.seeds.len());
                let part = self.seeds.get(other).map(|seed| self.part(seed));
                bytes.splice(at..at, part.unwrap_or_default());
            }
        }
        bytes.truncate(LENGTH_MAX);
    }
}

impl Iterator for Mutations<'_> {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        let place = self.below(self.seeds.len());
        let mut bytes = self.seeds.get(place)?.clone();
        for _ in 0..=self.below(4) {
            self.change(&mut bytes);
        }
        Some(bytes)
    }
}
