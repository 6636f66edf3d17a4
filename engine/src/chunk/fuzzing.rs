//! What must hold of any bytes that are taken for a chunk, and of any objects that are put into one.

use super::{Chunk, ChunkBuilder, Key, Names, VERSION};
use crate::canonical::canonical_json;
use crate::codec::put_usize;

/// The ids that the numbers stand for.
const IDS: [&str; 4] = ["", "00u1", "00g2", "0oa3"];

struct Numbered;

impl Names for Numbered {
    fn name(&self, number: u32) -> Option<&str> {
        IDS.get(usize::try_from(number).ok()?).copied()
    }
}

/// A chunk as it was opened is read or refused.
pub(crate) fn opened(data: &[u8]) -> bool {
    Chunk::decode(data, &Numbered).is_ok()
}

/// What stands in the frame of a chunk is read or refused; objects that were read can be written and read again.
pub(crate) fn unpacked(data: &[u8]) -> bool {
    let Ok(chunk) = pack(data)
        .and_then(|bytes| Chunk::decode(&bytes, &Numbered).ok())
        .ok_or(())
    else {
        return false;
    };
    let rows = rows_of(&chunk);
    let is_object = |body: &[u8]| {
        body.first() == Some(&b'{') && canonical_json(body).is_ok_and(|found| found == body)
    };
    if rows
        .iter()
        .all(|(key, body)| is_object(body) && Numbered.name(key.key.max(key.parent)).is_some())
    {
        there_and_back(&rows);
    }
    true
}

/// Objects come out of a chunk as they went in. A line each: a byte for the numbers of parent and key, then JSON.
pub(crate) fn objects(data: &[u8]) -> bool {
    let rows: Vec<(Key, Vec<u8>)> = data
        .split(|byte| *byte == b'\n')
        .filter_map(|line| {
            let (numbers, raw) = line.split_first()?;
            let key = Key {
                parent: u32::from(numbers >> 2 & 3),
                key: u32::from(numbers & 3),
            };
            let body = canonical_json(raw).ok()?;
            (body.first() == Some(&b'{')).then_some((key, body))
        })
        .collect();
    there_and_back(&rows);
    !rows.is_empty()
}

fn there_and_back(rows: &[(Key, Vec<u8>)]) {
    let mut builder = ChunkBuilder::default();
    let name = |number| Numbered.name(number).unwrap_or_default();
    for (key, body) in rows {
        builder.push(*key, name(key.key), name(key.parent), body);
    }
    let bytes = builder.finish().unwrap_or_default();
    let chunk = Chunk::decode(&bytes, &Numbered);
    let found = chunk.ok().map(|chunk| rows_of(&chunk));
    assert_eq!(found.as_deref(), Some(rows), "what went in comes out");
}

fn rows_of(chunk: &Chunk) -> Vec<(Key, Vec<u8>)> {
    let rows = (0..).map_while(|place| chunk.get(place));
    rows.map(|(key, body)| (key, body.to_vec())).collect()
}

fn pack(plain: &[u8]) -> Option<Vec<u8>> {
    let mut chunk = vec![VERSION];
    put_usize(&mut chunk, plain.len());
    chunk.extend_from_slice(&zstd::bulk::compress(plain, 1).ok()?);
    Some(chunk)
}

/// What stands in the frame of a chunk, as a seed.
#[cfg(test)]
pub(crate) fn unpack(chunk: &[u8]) -> Vec<u8> {
    super::decompress(chunk).unwrap_or_default()
}
