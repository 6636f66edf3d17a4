//! The small parts that stored formats are made of: little-endian integers, varints, lengths.
//!
//! A varint holds seven bits a byte, lowest first, the top bit set on all but the last byte; at most ten bytes.
//! Signed numbers are zigzag-coded first (0, -1, 1, -2 … as 0, 1, 2, 3 …).

/// Why stored bytes cannot be read, although they are the bytes that were sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The format is newer than the program, or none of ours.
    #[error("{what} of unknown version {version}")]
    UnknownVersion {
        /// What was being read.
        what: &'static str,
        /// The version that was found.
        version: u8,
    },
    /// The bytes end early or do not fit together.
    #[error("{what} that does not fit together")]
    Broken {
        /// What was being read.
        what: &'static str,
    },
}

/// Reads the parts of one stored thing, and never beyond its end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Decoder<'a> {
    rest: &'a [u8],
    what: &'static str,
}

impl<'a> Decoder<'a> {
    pub(crate) fn new(bytes: &'a [u8], what: &'static str) -> Self {
        Self { rest: bytes, what }
    }

    pub(crate) fn broken(&self) -> DecodeError {
        DecodeError::Broken { what: self.what }
    }

    /// What is left.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Reads a version byte and refuses any but `known`.
    pub(crate) fn version(&mut self, known: u8) -> Result<(), DecodeError> {
        let version = self.u8()?;
        if version == known {
            Ok(())
        } else {
            Err(DecodeError::UnknownVersion {
                what: self.what,
                version,
            })
        }
    }

    pub(crate) fn end(&self) -> Result<(), DecodeError> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(self.broken())
        }
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (array, rest) = self.rest.split_first_chunk::<N>().ok_or(self.broken())?;
        self.rest = rest;
        Ok(*array)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, DecodeError> {
        let [byte] = self.array()?;
        Ok(byte)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, DecodeError> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                return Err(self.broken());
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(self.broken())
    }

    pub(crate) fn u32(&mut self) -> Result<u32, DecodeError> {
        u32::try_from(self.u64()?).map_err(|_| self.broken())
    }

    pub(crate) fn usize(&mut self) -> Result<usize, DecodeError> {
        usize::try_from(self.u64()?).map_err(|_| self.broken())
    }

    /// A count of things that take at least one byte each, so that no more can be announced than are there.
    pub(crate) fn count(&mut self) -> Result<usize, DecodeError> {
        let count = self.usize()?;
        if count <= self.rest.len() {
            Ok(count)
        } else {
            Err(self.broken())
        }
    }

    pub(crate) fn i64(&mut self) -> Result<i64, DecodeError> {
        let coded = self.u64()?;
        Ok((coded >> 1).cast_signed() ^ -(coded & 1).cast_signed())
    }

    pub(crate) fn bytes(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        let (bytes, rest) = self.rest.split_at_checked(length).ok_or(self.broken())?;
        self.rest = rest;
        Ok(bytes)
    }

    /// Bytes behind their length.
    pub(crate) fn sized(&mut self) -> Result<&'a [u8], DecodeError> {
        let length = self.usize()?;
        self.bytes(length)
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, DecodeError> {
        let bytes = self.sized()?;
        std::str::from_utf8(bytes).map_err(|_| self.broken())
    }
}

pub(crate) fn put_u64(out: &mut Vec<u8>, mut value: u64) {
    loop {
        let [low, ..] = value.to_le_bytes();
        value >>= 7;
        if value == 0 {
            return out.push(low);
        }
        out.push(low | 0x80);
    }
}

pub(crate) fn put_usize(out: &mut Vec<u8>, value: usize) {
    put_u64(out, value as u64);
}

pub(crate) fn put_i64(out: &mut Vec<u8>, value: i64) {
    put_u64(out, ((value << 1) ^ (value >> 63)).cast_unsigned());
}

pub(crate) fn put_sized(out: &mut Vec<u8>, bytes: &[u8]) {
    put_usize(out, bytes.len());
    out.extend_from_slice(bytes);
}

/// Writes numbers as the signed differences of neighbours.
pub(crate) fn put_deltas(out: &mut Vec<u8>, numbers: impl Iterator<Item = u32>) {
    let mut last = 0i64;
    for number in numbers {
        let number = i64::from(number);
        put_i64(out, number - last);
        last = number;
    }
}

/// Reads `count` numbers that [`put_deltas`] wrote.
pub(crate) fn read_deltas(from: &mut Decoder<'_>, count: usize) -> Result<Vec<u32>, DecodeError> {
    if count > from.rest.len() {
        return Err(from.broken());
    }
    let mut numbers = Vec::with_capacity(count);
    let mut last = 0i64;
    for _ in 0..count {
        last = last.checked_add(from.i64()?).ok_or(from.broken())?;
        numbers.push(u32::try_from(last).map_err(|_| from.broken())?);
    }
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_come_back(unsigned: u64, signed: i64, list in proptest::collection::vec(any::<u32>(), 0..20)) {
            let mut out = Vec::new();
            put_u64(&mut out, unsigned);
            put_i64(&mut out, signed);
            put_deltas(&mut out, list.iter().copied());
            let mut from = Decoder::new(&out, "a test");
            prop_assert_eq!(from.u64().unwrap(), unsigned);
            prop_assert_eq!(from.i64().unwrap(), signed);
            prop_assert_eq!(read_deltas(&mut from, list.len()).unwrap(), list);
            from.end().unwrap();
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let mut from = Decoder::new(&bytes, "a test");
            while from.u64().is_ok() && from.i64().is_ok() && from.sized().is_ok() {}
            prop_assert!(read_deltas(&mut Decoder::new(&bytes, "a test"), 50).is_err());
        }
    }

    #[test]
    fn a_varint_of_more_than_64_bits_is_refused() {
        assert!(Decoder::new(&[0xff; 11], "a test").u64().is_err());
        assert!(
            Decoder::new(
                &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02],
                "a test"
            )
            .u64()
            .is_err()
        );
    }
}
