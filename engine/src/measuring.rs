//! What `benches/` needs of the encoders to measure them; no part of the engine's interface.

use crate::chunk::{ChunkBuilder, Key};
use crate::codec::{Decoder, put_deltas, put_u64, put_usize};

/// One object as it goes into a chunk.
#[derive(Debug, Clone)]
pub struct Row {
    /// The number of the parent's id, or 0.
    pub parent: u32,
    /// The number of the object's own id.
    pub key: u32,
    /// The object's own id.
    pub own_id: String,
    /// The parent's id, or empty.
    pub parent_id: String,
    /// Canonical JSON.
    pub body: Vec<u8>,
}

/// Chunks as the store writes them, before sealing, each of about so many bytes of bodies.
///
/// # Errors
///
/// When the compressor fails.
pub fn chunks(rows: &[Row], bytes_target: usize) -> Result<Vec<Vec<u8>>, std::io::Error> {
    let mut chunks = Vec::new();
    let mut builder = ChunkBuilder::default();
    let mut bytes = 0;
    for row in rows {
        let key = Key {
            parent: row.parent,
            key: row.key,
        };
        builder.push(key, &row.own_id, &row.parent_id, &row.body);
        bytes += row.body.len();
        if bytes >= bytes_target {
            chunks.push(std::mem::take(&mut builder).finish()?);
            bytes = 0;
        }
    }
    if !builder.rows().is_empty() {
        chunks.push(builder.finish()?);
    }
    Ok(chunks)
}

/// What a chunk is compressed from.
#[must_use]
pub fn unpacked(chunk: &[u8]) -> Vec<u8> {
    let mut from = Decoder::new(chunk, "a chunk");
    let length = from.u8().and_then(|_version| from.usize());
    length
        .ok()
        .and_then(|length| zstd::bulk::decompress(from.rest(), length).ok())
        .unwrap_or_default()
}

/// Relations without a body as a [record](crate::record) holds them, before compression: numbers of parents and keys, in order.
#[must_use]
pub fn relations(keys: &[(u32, u32)]) -> Vec<u8> {
    let groups = || keys.chunk_by(|(one, _), (other, _)| one == other);
    let mut out = Vec::new();
    put_usize(&mut out, groups().count());
    let mut last = 0;
    for group in groups() {
        let parent = group.first().map_or(0, |(parent, _)| *parent);
        put_u64(&mut out, u64::from(parent.wrapping_sub(last)));
        last = parent;
        put_usize(&mut out, group.len());
        put_deltas(&mut out, group.iter().map(|(_, key)| *key));
    }
    out
}
