//! Compresses objects of one type together, and takes them apart again.
//!
//! A chunk is the unit of reading: a list of rows, each a parent's number, a key's number and a body of canonical
//! JSON. Bodies are laid out by column: what is common to many bodies, their keys and nesting, is one *template*;
//! the values of one place in a template stand together, where they resemble each other. An object's own id and its
//! parent's id cost one byte, a timestamp some three.
//!
//! # Format, version 1
//!
//! `0x01`, the length of what follows after decompression (varint), one zstd frame of:
//!
//! | part | coding |
//! | --- | --- |
//! | number of rows `n` | varint |
//! | parents | `n` signed differences |
//! | keys | `n` signed differences |
//! | number of templates | varint |
//! | each template | length, then canonical JSON in which each value that is no object is the byte `0x01` |
//! | the template of each row | `n` varints |
//! | the columns | for each template in turn, for each of its values in turn: kind (1 byte), length, data |
//!
//! A column of kind 0 is text: each value is the raw text of a string followed by `0x00`, or of any other value (also of
//! a whole array) followed by `0x01`; a string that is the row's own id is `0x02 0x00`, its parent's id `0x03 0x00`.
//! Canonical JSON holds no byte below `0x20` of its own.
//! A column of kind 1 holds timestamps of the form `2026-01-31T23:59:59.000Z` and nulls: flags (1 byte: 1 = as difference to the
//! column of kind 1 before it in the same template; 2 = whole seconds), the smallest value (signed varint), the width in bytes of a value, then the values above
//! the smallest, plus one, lowest bytes of all first, then the next bytes; zero is null.
//!
//! # Chosen and rejected
//!
//! By `orgkeep-bench chunks` (its whole output is in `benches/chunks.md`): 10,000 users, 69,124 objects of 37.2 MB of canonical
//! JSON, zstd at level 6, on one thread; nonces and tags are counted.
//!
//! | way | MB | CPU s |
//! | --- | --: | --: |
//! | **columns by template, 1 MiB** | **1.85** | **0.27** |
//! | columns by template, 128 KiB | 2.35 | 0.30 |
//! | columns by template, 4 MiB: four times as long to read an object | 1.65 | 0.30 |
//! | lines of JSON, 1 MiB | 3.67 | 0.36 |
//! | lines of JSON, 128 KiB, a trained dictionary for each type | 4.04 | 0.93 |
//! | each object by itself, a trained dictionary for each type | 6.33 | 1.50 |
//! | each object by itself | 22.20 | 1.04 |
//! | a sealed chunk for each object | 24.97 | 0.88 |
//!
//! Higher levels give little for much: 1.82 MB at level 9, 1.78 at 12 and 1.65 at 19, where compressing takes 2, 5 and 30 times as
//! long as at 6; level 1 takes 2.09. Of a day's changes (450 objects, 0.281 MB) columns make 20 KB, lines of JSON 27 KB, each
//! object as difference to its previous version 101 KB, since new objects have none and each frame stands alone, and columns
//! with the day before's columns as dictionary 18 KB, which is not worth that a chunk then needs another to be read. Memberships
//! (72,654) take 4.87 MB as lines, 0.32 MB compressed, 0.10 MB as differences of numbers by column, and 0.08 MB with zstd, as
//! [records](crate::record) hold them.

use std::collections::HashMap;
use std::ops::Range;

use crate::codec::{
    DecodeError, Decoder, put_deltas, put_i64, put_sized, put_u64, put_usize, read_deltas,
};

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod time;

const VERSION: u8 = 1;
const WHAT: &str = "a chunk";

/// Bodies of this many bytes together end a chunk.
///
/// Measured with 20,000 users, 116,000 app users and 154,000 memberships (63 MB of canonical JSON): packs and record take
/// 3.60 MB at 128 KiB, 3.37 MB at 256 KiB, 3.06 MB at 1 MiB and 2.88 MB at 4 MiB, at the same CPU time. Reading one object
/// opens one chunk and puts one body together: some 0.9 ms of CPU at 1 MiB, opening the snapshot included, on a machine on which
/// putting the whole chunk together took 1.8 to 2.9 ms. So smaller chunks, which cost bytes, are not needed.
pub(crate) const CHUNK_BYTES_TARGET: usize = 1024 * 1024;

/// The most rows of a chunk, so that an ordinal fits 16 bits.
pub(crate) const CHUNK_ROWS_MAX: usize = 1 << 16;

/// The most bytes that a chunk may take decompressed, or its bodies together: a bound for damaged lengths.
const CHUNK_BYTES_MAX: usize = 1 << 28;

/// The level of zstd.
///
/// Measured as above at 1 MiB: 3.21 MB at level 1, 3.06 MB at 3, 2.98 MB at 6. The columns are so much smaller than the JSON that
/// the level does not show in the CPU time (1.4 s for all, canonical form and index included). For the same reason no dictionary is
/// trained: what it would hold, keys and nesting, is in the templates, which cost some hundred bytes a chunk.
pub(crate) const COMPRESSION_LEVEL: i32 = 6;

const STRING_END: u8 = 0x00;
const OTHER_END: u8 = 0x01;
const OWN_ID: u8 = 0x02;
const PARENT_ID: u8 = 0x03;
const SLOT: u8 = 0x01;
const NULL_TIME: i64 = i64::MIN;

/// One row of a chunk, without its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    /// The number of the parent's id, or 0.
    pub(crate) parent: u32,
    /// The number of the object's own id, or of its key under the parent.
    pub(crate) key: u32,
}

/// Finds the id that a number stands for.
pub(crate) trait Names {
    /// The id, if the number is known.
    fn name(&self, number: u32) -> Option<&str>;
}

#[derive(Debug)]
enum Column {
    Text(Vec<u8>),
    Times(Vec<i64>),
}

/// Collects rows into a chunk.
#[derive(Debug, Default)]
pub(crate) struct ChunkBuilder {
    rows: Vec<Key>,
    templates: HashMap<Vec<u8>, usize>,
    columns: Vec<Vec<Column>>,
    template_of: Vec<usize>,
    body_bytes: usize,
    /// The last row's template, and its place.
    last: Option<(Vec<u8>, usize)>,
    template: Vec<u8>,
    slots: Vec<(usize, usize)>,
}

impl ChunkBuilder {
    pub(crate) fn is_full(&self) -> bool {
        self.body_bytes >= CHUNK_BYTES_TARGET || self.rows.len() >= CHUNK_ROWS_MAX
    }

    pub(crate) fn rows(&self) -> &[Key] {
        &self.rows
    }

    /// Adds a row; `body` is canonical JSON, an object.
    pub(crate) fn push(&mut self, key: Key, own_id: &str, parent_id: &str, body: &[u8]) {
        self.rows.push(key);
        self.body_bytes += body.len();
        self.template.clear();
        self.slots.clear();
        divide(body, &mut self.template, &mut self.slots);
        let place = self.place();
        self.template_of.push(place);
        let columns = self
            .columns
            .get_mut(place)
            .map(Vec::as_mut_slice)
            .unwrap_or_default();
        for (column, &(start, end)) in columns.iter_mut().zip(&self.slots) {
            column.push(body.get(start..end).unwrap_or_default(), own_id, parent_id);
        }
    }

    /// The place of the template that was just divided off. Mostly it is the last row's, which is looked at first.
    fn place(&mut self) -> usize {
        if let Some((last, place)) = &self.last
            && *last == self.template
        {
            return *place;
        }
        let place = match self.templates.get(&self.template) {
            Some(&place) => place,
            None => {
                let place = self.columns.len();
                self.templates.insert(self.template.clone(), place);
                let columns = self.slots.iter().map(|_| Column::Times(Vec::new()));
                self.columns.push(columns.collect());
                place
            }
        };
        let (last, at) = self.last.get_or_insert_default();
        last.clone_from(&self.template);
        *at = place;
        place
    }

    /// The chunk's bytes before sealing.
    pub(crate) fn finish(self) -> Result<Vec<u8>, std::io::Error> {
        self.finish_by(&mut Compressor::new()?)
    }

    /// As [`finish`](Self::finish), by a compressor that is used again and again: a new one costs some 3 MB of memory
    /// that must be had and cleared.
    pub(crate) fn finish_by(self, compressor: &mut Compressor) -> Result<Vec<u8>, std::io::Error> {
        let mut out = Vec::with_capacity(self.body_bytes / 4);
        put_usize(&mut out, self.rows.len());
        put_deltas(&mut out, self.rows.iter().map(|row| row.parent));
        put_deltas(&mut out, self.rows.iter().map(|row| row.key));
        put_usize(&mut out, self.templates.len());
        let mut templates: Vec<(Vec<u8>, usize)> = self.templates.into_iter().collect();
        templates.sort_unstable_by_key(|(_, place)| *place);
        for (template, _) in &templates {
            put_sized(&mut out, template);
        }
        for place in self.template_of {
            put_usize(&mut out, place);
        }
        for columns in &self.columns {
            let mut before = None;
            for column in columns {
                match column {
                    Column::Text(text) => {
                        out.push(0);
                        put_sized(&mut out, text);
                    }
                    Column::Times(times) => {
                        out.push(1);
                        put_sized(&mut out, &write_times(times, before));
                        before = Some(times);
                    }
                }
            }
        }
        let packed = compressor.0.compress(&out)?;
        let mut chunk = Vec::with_capacity(packed.len() + 11);
        chunk.push(VERSION);
        put_usize(&mut chunk, out.len());
        chunk.extend_from_slice(&packed);
        Ok(chunk)
    }
}

/// Compresses one chunk after another.
pub(crate) struct Compressor(zstd::bulk::Compressor<'static>);

impl Compressor {
    pub(crate) fn new() -> Result<Self, std::io::Error> {
        zstd::bulk::Compressor::new(COMPRESSION_LEVEL).map(Self)
    }
}

impl Column {
    fn push(&mut self, raw: &[u8], own_id: &str, parent_id: &str) {
        if let Self::Times(times) = self {
            if raw == b"null" {
                return times.push(NULL_TIME);
            }
            if let Some(moment) = time::parse_quoted(raw) {
                return times.push(moment);
            }
            let mut text = Vec::new();
            for &moment in times.iter() {
                if moment == NULL_TIME {
                    text.extend_from_slice(b"null");
                    text.push(OTHER_END);
                } else {
                    time::write(&mut text, moment);
                    text.push(STRING_END);
                }
            }
            *self = Self::Text(text);
        }
        if let Self::Text(text) = self {
            let Some(content) = raw
                .strip_prefix(b"\"")
                .and_then(|raw| raw.strip_suffix(b"\""))
            else {
                text.extend_from_slice(raw);
                return text.push(OTHER_END);
            };
            if !own_id.is_empty() && content == own_id.as_bytes() {
                text.push(OWN_ID);
            } else if !parent_id.is_empty() && content == parent_id.as_bytes() {
                text.push(PARENT_ID);
            } else {
                text.extend_from_slice(content);
            }
            text.push(STRING_END);
        }
    }
}

/// Divides canonical JSON into its template and the places of its values.
fn divide(body: &[u8], template: &mut Vec<u8>, slots: &mut Vec<(usize, usize)>) {
    let mut at = 0;
    let mut value_next = true;
    while let Some(&byte) = body.get(at) {
        let end = match byte {
            b'"' => at + string_length(body.get(at..).unwrap_or_default()),
            b'{' => {
                template.push(byte);
                at += 1;
                value_next = false;
                continue;
            }
            b':' => {
                template.push(byte);
                at += 1;
                value_next = true;
                continue;
            }
            b'}' | b',' => {
                template.push(byte);
                at += 1;
                value_next = false;
                continue;
            }
            b'[' => at + array_length(body.get(at..).unwrap_or_default()),
            _ => {
                let rest = body.get(at..).unwrap_or_default();
                at + rest
                    .iter()
                    .position(|byte| matches!(byte, b',' | b'}'))
                    .unwrap_or(rest.len())
                    .max(1)
            }
        };
        if value_next {
            template.push(SLOT);
            slots.push((at, end));
        } else {
            template.extend_from_slice(body.get(at..end).unwrap_or_default());
        }
        at = end;
    }
}

/// The length of the string at the start of `raw`, quotes included.
fn string_length(raw: &[u8]) -> usize {
    let mut at = 1;
    loop {
        match memchr::memchr2(b'"', b'\\', raw.get(at..).unwrap_or_default()) {
            Some(found) if raw.get(at + found) == Some(&b'"') => return at + found + 1,
            Some(found) => at += found + 2,
            None => return raw.len(),
        }
    }
}

fn array_length(raw: &[u8]) -> usize {
    let mut at = 0;
    let mut depth = 0usize;
    while let Some(&byte) = raw.get(at) {
        match byte {
            b'"' => {
                at += string_length(raw.get(at..).unwrap_or_default());
                continue;
            }
            b'[' => depth += 1,
            b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += 1;
        if depth == 0 {
            return at;
        }
    }
    raw.len()
}

const FLAG_DIFFERENCE: u8 = 1;
const FLAG_SECONDS: u8 = 2;

fn write_times(times: &[i64], before: Option<&Vec<i64>>) -> Vec<u8> {
    let before =
        before.filter(|before| !before.contains(&NULL_TIME) && !times.contains(&NULL_TIME));
    let mut flags = 0;
    let mut values: Vec<i64> = times.to_vec();
    if let Some(before) = before {
        flags |= FLAG_DIFFERENCE;
        values
            .iter_mut()
            .zip(before)
            .for_each(|(value, before)| *value -= before);
    }
    let known = || values.iter().filter(|value| **value != NULL_TIME);
    if known().all(|value| value % 1000 == 0) {
        flags |= FLAG_SECONDS;
    }
    let unit = if flags & FLAG_SECONDS == 0 { 1 } else { 1000 };
    let least = known().min().copied().unwrap_or_default() / unit;
    let most = known().max().copied().unwrap_or_default() / unit;
    let above: Vec<u64> = values
        .iter()
        .map(|&value| {
            if value == NULL_TIME {
                0
            } else {
                (value / unit).abs_diff(least) + 1
            }
        })
        .collect();
    let width = (64 - (most.abs_diff(least) + 1).leading_zeros()).div_ceil(8);
    let mut out = vec![flags];
    put_i64(&mut out, least);
    put_u64(&mut out, u64::from(width));
    for plane in 0..width {
        out.extend(
            above
                .iter()
                .map(|value| (value >> (8 * plane)).to_le_bytes()[0]),
        );
    }
    out
}

fn read_times(bytes: &[u8], before: Option<&Vec<i64>>) -> Result<Vec<i64>, DecodeError> {
    let mut from = Decoder::new(bytes, WHAT);
    let flags = from.u8()?;
    let least = from.i64()?;
    let width = from.usize()?;
    if !(1..=8).contains(&width) || !from.rest().len().is_multiple_of(width) {
        return Err(from.broken());
    }
    let count = from.rest().len() / width;
    let mut above = vec![0u64; count];
    for plane in 0..width {
        for (value, &byte) in above.iter_mut().zip(from.bytes(count)?) {
            *value |= u64::from(byte) << (8 * plane);
        }
    }
    let unit = if flags & FLAG_SECONDS == 0 { 1 } else { 1000 };
    let mut values = Vec::with_capacity(count);
    for (place, above) in above.into_iter().enumerate() {
        let Some(above) = above.checked_sub(1) else {
            values.push(NULL_TIME);
            continue;
        };
        let mut value = least
            .checked_add_unsigned(above)
            .and_then(|value| value.checked_mul(unit))
            .ok_or(from.broken())?;
        if flags & FLAG_DIFFERENCE != 0 {
            let base = before
                .and_then(|before| before.get(place))
                .ok_or(from.broken())?;
            value = value.checked_add(*base).ok_or(from.broken())?;
        }
        values.push(value);
    }
    Ok(values)
}

/// A chunk taken apart, all of it.
#[cfg(any(test, feature = "fuzzing"))]
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Chunk {
    rows: Vec<Key>,
    bodies: Vec<u8>,
    ends: Vec<usize>,
}

#[cfg(any(test, feature = "fuzzing"))]
impl Chunk {
    /// Takes a chunk apart that was opened.
    pub(crate) fn decode(bytes: &[u8], names: &dyn Names) -> Result<Self, DecodeError> {
        let view = ChunkView::decode(bytes)?;
        let mut cursor = Cursor::default();
        let mut bodies = Vec::new();
        let mut ends = Vec::with_capacity(view.rows.len());
        for ordinal in 0..view.rows.len() {
            view.render(ordinal, &mut cursor, names, &mut bodies)?;
            if bodies.len() > CHUNK_BYTES_MAX {
                return Err(BROKEN);
            }
            ends.push(bodies.len());
        }
        Ok(Self {
            rows: view.rows,
            bodies,
            ends,
        })
    }

    /// The row and the body at a place.
    pub(crate) fn get(&self, ordinal: usize) -> Option<(Key, &[u8])> {
        let start = match ordinal.checked_sub(1) {
            Some(before) => *self.ends.get(before)?,
            None => 0,
        };
        let body = self.bodies.get(start..*self.ends.get(ordinal)?)?;
        Some((*self.rows.get(ordinal)?, body))
    }
}

const BROKEN: DecodeError = DecodeError::Broken { what: WHAT };

/// A chunk opened but not put together: bodies are, one at a time, as they are asked for.
///
/// A row is found by counting the ends of values in each of its columns, and nothing has to be counted for the row after
/// the one read last with the same [`Cursor`]. In memory it is about a quarter of its bodies.
#[derive(Debug)]
pub(crate) struct ChunkView {
    plain: Vec<u8>,
    rows: Vec<Key>,
    /// Of each row: its template, and how many rows before it have the same.
    forms: Vec<(u32, u32)>,
    templates: Vec<Template>,
}

/// A template and its columns: text by its place in the opened bytes.
#[derive(Debug)]
struct Template {
    /// What stands before each value, and after the last.
    parts: Vec<Range<usize>>,
    columns: Vec<ViewColumn>,
}

#[derive(Debug)]
enum ViewColumn {
    Text(Range<usize>),
    Times(Vec<i64>),
}

/// Where the reading of a [`ChunkView`] stands: of each template the next row, and the places in its columns.
#[derive(Debug, Default)]
pub(crate) struct Cursor {
    templates: Vec<Option<(u32, Vec<usize>)>>,
}

impl ChunkView {
    /// Opens what [`ChunkBuilder::finish`] gave. What cannot be put together is found only when it is asked for.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let plain = decompress(bytes)?;
        let mut from = Decoder::new(&plain, WHAT);
        let rows = read_rows(&mut from)?;
        let count = from.count()?;
        let texts = (0..count)
            .map(|_| from.sized())
            .collect::<Result<Vec<_>, _>>()?;
        let mut seen = vec![0u32; count];
        let mut forms = Vec::with_capacity(rows.len());
        for _ in 0..rows.len() {
            let place = from.u32()?;
            let seen = usize::try_from(place).ok().and_then(|at| seen.get_mut(at));
            let before = seen.ok_or(from.broken())?;
            forms.push((place, *before));
            *before += 1;
        }
        let place_of = |part: &[u8]| {
            let start = part.as_ptr().addr() - plain.as_ptr().addr();
            start..start + part.len()
        };
        let mut templates = Vec::with_capacity(count);
        for text in texts {
            let columns = read_columns(&mut from, text)?;
            templates.push(Template {
                parts: text.split(|byte| *byte == SLOT).map(place_of).collect(),
                columns: columns
                    .into_iter()
                    .map(|column| match column {
                        Values::Text(text) => ViewColumn::Text(place_of(text)),
                        Values::Times(times) => ViewColumn::Times(times),
                    })
                    .collect(),
            });
        }
        from.end()?;
        Ok(Self {
            plain,
            rows,
            forms,
            templates,
        })
    }

    pub(crate) fn rows(&self) -> &[Key] {
        &self.rows
    }

    /// How much memory it takes, about.
    pub(crate) fn bytes(&self) -> usize {
        let times = |column: &ViewColumn| match column {
            ViewColumn::Text(_) => 0,
            ViewColumn::Times(times) => 8 * times.len(),
        };
        let columns = self.templates.iter().flat_map(|found| &found.columns);
        self.plain.len() + 16 * self.rows.len() + columns.map(times).sum::<usize>()
    }

    /// The row at a place; its body is appended to `out`.
    pub(crate) fn get(
        &self,
        ordinal: usize,
        cursor: &mut Cursor,
        names: &dyn Names,
        out: &mut Vec<u8>,
    ) -> Result<Option<Key>, DecodeError> {
        let Some(key) = self.rows.get(ordinal) else {
            return Ok(None);
        };
        self.render(ordinal, cursor, names, out)?;
        Ok(Some(*key))
    }

    /// How many bytes the body of each row has.
    ///
    /// Column by column, without putting a body together.
    pub(crate) fn lengths(&self, names: &dyn Names) -> Result<Vec<usize>, DecodeError> {
        let mut of_template: Vec<Vec<usize>> = vec![Vec::new(); self.templates.len()];
        for (ordinal, (place, _)) in self.forms.iter().enumerate() {
            let place = usize::try_from(*place).map_err(|_| BROKEN)?;
            of_template.get_mut(place).ok_or(BROKEN)?.push(ordinal);
        }
        let mut lengths = vec![0; self.rows.len()];
        for (template, ordinals) in self.templates.iter().zip(of_template) {
            let fixed: usize = template.parts.iter().map(Range::len).sum();
            let mut of_rows = vec![fixed; ordinals.len()];
            for column in &template.columns {
                match column {
                    ViewColumn::Times(times) if times.len() < ordinals.len() => {
                        return Err(BROKEN);
                    }
                    ViewColumn::Times(times) => {
                        for (length, moment) in of_rows.iter_mut().zip(times) {
                            *length += match *moment {
                                NULL_TIME => b"null".len(),
                                _ => time::LENGTH + 2,
                            };
                        }
                    }
                    ViewColumn::Text(text) => {
                        self.add_text_lengths(text, &ordinals, names, &mut of_rows)?;
                    }
                }
            }
            for (ordinal, length) in ordinals.into_iter().zip(of_rows) {
                *lengths.get_mut(ordinal).ok_or(BROKEN)? = length;
            }
        }
        Ok(lengths)
    }

    fn add_text_lengths(
        &self,
        text: &Range<usize>,
        ordinals: &[usize],
        names: &dyn Names,
        lengths: &mut [usize],
    ) -> Result<(), DecodeError> {
        let mut text = self.plain.get(text.clone()).ok_or(BROKEN)?;
        for (length, ordinal) in lengths.iter_mut().zip(ordinals) {
            let (value, end);
            (value, end, text) = next_value(text).ok_or(BROKEN)?;
            if end != STRING_END {
                *length += value.len();
                continue;
            }
            let name = |number: fn(&Key) -> u32| {
                let row = self.rows.get(*ordinal).ok_or(BROKEN)?;
                names.name(number(row)).ok_or(BROKEN)
            };
            *length += 2 + match value {
                [OWN_ID] => name(|row| row.key)?.len(),
                [PARENT_ID] => name(|row| row.parent)?.len(),
                value => value.len(),
            };
        }
        Ok(())
    }

    fn render(
        &self,
        ordinal: usize,
        cursor: &mut Cursor,
        names: &dyn Names,
        out: &mut Vec<u8>,
    ) -> Result<(), DecodeError> {
        let (Some(row), Some((place, rank))) = (self.rows.get(ordinal), self.forms.get(ordinal))
        else {
            return Err(BROKEN);
        };
        let place = usize::try_from(*place).map_err(|_| BROKEN)?;
        let template = self.templates.get(place).ok_or(BROKEN)?;
        if cursor.templates.len() < self.templates.len() {
            cursor.templates.resize(self.templates.len(), None);
        }
        let (next, places) = cursor
            .templates
            .get_mut(place)
            .ok_or(BROKEN)?
            .get_or_insert_with(|| (0, vec![0; template.columns.len()]));
        if *next > *rank {
            *next = 0;
            places.fill(0);
        }
        if *next < *rank {
            self.skip(
                template,
                places,
                usize::try_from(*rank - *next).map_err(|_| BROKEN)?,
            )?;
        }
        *next = rank.saturating_add(1);
        self.put_together(template, places, *rank, *row, names, out)
    }

    /// Moves on over some rows of a template.
    fn skip(
        &self,
        template: &Template,
        places: &mut [usize],
        rows: usize,
    ) -> Result<(), DecodeError> {
        for (column, at) in template.columns.iter().zip(places) {
            let ViewColumn::Text(text) = column else {
                continue;
            };
            let rest = self.plain.get(text.start + *at..text.end).ok_or(BROKEN)?;
            *at += behind_values(rest, rows).ok_or(BROKEN)?;
        }
        Ok(())
    }

    fn put_together(
        &self,
        template: &Template,
        places: &mut [usize],
        rank: u32,
        row: Key,
        names: &dyn Names,
        out: &mut Vec<u8>,
    ) -> Result<(), DecodeError> {
        let mut columns = template.columns.iter().zip(places);
        for part in &template.parts {
            out.extend_from_slice(self.plain.get(part.clone()).ok_or(BROKEN)?);
            let Some(column) = columns.next() else {
                break;
            };
            match column {
                (ViewColumn::Times(times), _) => {
                    let rank = usize::try_from(rank).map_err(|_| BROKEN)?;
                    match *times.get(rank).ok_or(BROKEN)? {
                        NULL_TIME => out.extend_from_slice(b"null"),
                        moment => {
                            out.push(b'"');
                            time::write(out, moment);
                            out.push(b'"');
                        }
                    }
                }
                (ViewColumn::Text(text), at) => {
                    let text = self.plain.get(text.start + *at..text.end).ok_or(BROKEN)?;
                    let (value, end, _) = next_value(text).ok_or(BROKEN)?;
                    *at += value.len() + 1;
                    if end != STRING_END {
                        out.extend_from_slice(value);
                        continue;
                    }
                    let value = match value {
                        [OWN_ID] => names.name(row.key).ok_or(BROKEN)?.as_bytes(),
                        [PARENT_ID] => names.name(row.parent).ok_or(BROKEN)?.as_bytes(),
                        value => value,
                    };
                    out.push(b'"');
                    out.extend_from_slice(value);
                    out.push(b'"');
                }
            }
        }
        Ok(())
    }
}

/// How many bytes so many values of a column have, at least one.
///
/// Ends are counted a block at a time, which the processor does many at once.
fn behind_values(text: &[u8], values: usize) -> Option<usize> {
    /// So few bytes that their count fits a byte.
    const BLOCK: usize = 128;
    let is_end = |byte: &u8| *byte <= OTHER_END;
    let mut left = values;
    let mut at = 0;
    for block in text.chunks(BLOCK) {
        let ends = usize::from(block.iter().map(|byte| u8::from(is_end(byte))).sum::<u8>());
        if ends >= left {
            let mut ends = block.iter().enumerate().filter(|(_, byte)| is_end(byte));
            let (last, _) = ends.nth(left.checked_sub(1)?)?;
            return Some(at + last + 1);
        }
        left -= ends;
        at += block.len();
    }
    None
}

/// The next value of a column, the byte that ends it, and what follows.
///
/// Eight bytes at a time: most values are too short for calling what searches longer ones to be worth it.
fn next_value(text: &[u8]) -> Option<(&[u8], u8, &[u8])> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const _: () = assert!(STRING_END == 0 && OTHER_END == 1);
    let mut at = 0;
    let mut rest = text;
    while let Some((word, after)) = rest.split_first_chunk::<8>() {
        let word = u64::from_le_bytes(*word);
        // The highest bit of each byte that is below 2; right up to the first such byte.
        let found = word.wrapping_sub(2 * ONES) & !word & (0x80 * ONES);
        if found != 0 {
            at += usize::try_from(found.trailing_zeros() / 8).ok()?;
            break;
        }
        at += 8;
        rest = after;
    }
    at += text.get(at..)?.iter().position(|byte| *byte <= OTHER_END)?;
    let (value, after) = text.split_at(at);
    let (end, rest) = after.split_first()?;
    Some((value, *end, rest))
}

/// A column as it was read.
enum Values<'a> {
    Text(&'a [u8]),
    Times(Vec<i64>),
}

fn decompress(bytes: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let mut from = Decoder::new(bytes, WHAT);
    from.version(VERSION)?;
    let length = from.usize()?;
    if length > CHUNK_BYTES_MAX {
        return Err(from.broken());
    }
    let plain = zstd::bulk::decompress(from.rest(), length).map_err(|_| from.broken())?;
    if plain.len() == length {
        Ok(plain)
    } else {
        Err(from.broken())
    }
}

fn read_rows(from: &mut Decoder<'_>) -> Result<Vec<Key>, DecodeError> {
    let count = from.count()?;
    let parents = read_deltas(from, count)?;
    let keys = read_deltas(from, count)?;
    Ok(parents
        .into_iter()
        .zip(keys)
        .map(|(parent, key)| Key { parent, key })
        .collect())
}

fn read_columns<'a>(
    from: &mut Decoder<'a>,
    template: &[u8],
) -> Result<Vec<Values<'a>>, DecodeError> {
    let mut columns: Vec<Values<'a>> = Vec::new();
    for _ in template.iter().filter(|byte| **byte == SLOT) {
        columns.push(match from.u8()? {
            0 => Values::Text(from.sized()?),
            1 => {
                let before = columns.iter().rev().find_map(|column| match column {
                    Values::Times(times) => Some(times),
                    Values::Text(_) => None,
                });
                Values::Times(read_times(from.sized()?, before)?)
            }
            _ => return Err(from.broken()),
        });
    }
    Ok(columns)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::canonical::canonical_json;

    struct Numbered;

    impl Names for Numbered {
        fn name(&self, number: u32) -> Option<&str> {
            ["", "00u1", "00g2", "0oa3"]
                .get(usize::try_from(number).unwrap())
                .copied()
        }
    }

    fn round_trip(rows: &[(Key, String)]) {
        let mut builder = ChunkBuilder::default();
        for (key, body) in rows {
            let own = Numbered.name(key.key).unwrap();
            builder.push(
                *key,
                own,
                Numbered.name(key.parent).unwrap(),
                body.as_bytes(),
            );
        }
        let bytes = builder.finish().unwrap();
        let lengths = ChunkView::decode(&bytes).unwrap().lengths(&Numbered);
        let bodies = rows.iter().map(|(_, body)| body.len());
        assert_eq!(lengths.unwrap(), bodies.collect::<Vec<_>>());
        let chunk = Chunk::decode(&bytes, &Numbered).unwrap();
        for (ordinal, (key, body)) in rows.iter().enumerate() {
            let (found_key, found) = chunk.get(ordinal).unwrap();
            assert_eq!(
                (found_key, std::str::from_utf8(found).unwrap()),
                (*key, body.as_str())
            );
        }
        assert_eq!(chunk.get(rows.len()), None);
    }

    fn value() -> impl Strategy<Value = String> {
        prop_oneof![
            Just("null".to_owned()),
            Just("{}".to_owned()),
            Just("[]".to_owned()),
            Just(r#"[{"a":"]\""},[1,"\\"],null]"#.to_owned()),
            Just(r#""00u1""#.to_owned()),
            Just(r#""00g2""#.to_owned()),
            Just(r#""2026-02-30T00:00:00.000Z""#.to_owned()),
            any::<i32>().prop_map(|number| number.to_string()),
            any::<bool>().prop_map(|word| word.to_string()),
            ".{0,8}".prop_map(|text| serde_json::to_string(&text).unwrap()),
            (0i64..4_000_000_000_000).prop_map(|moment| {
                let mut text = b"\"".to_vec();
                time::write(&mut text, moment / 1000 * 1000);
                text.push(b'"');
                String::from_utf8(text).unwrap()
            }),
        ]
    }

    fn body() -> impl Strategy<Value = String> {
        proptest::collection::vec(value(), 4).prop_flat_map(|values| {
            (Just(values), 0usize..3).prop_map(|(values, shape)| {
                let [a, b, c, d] = <[String; 4]>::try_from(values).unwrap();
                let raw = match shape {
                    0 => format!(r#"{{"a":{a},"b":{b},"c":{{"d":{c},"\"e":{d}}}}}"#),
                    1 => format!(r#"{{"a":{a},"b":{b}}}"#),
                    _ => "{}".to_owned(),
                };
                String::from_utf8(canonical_json(raw.as_bytes()).unwrap()).unwrap()
            })
        })
    }

    proptest! {
        #[test]
        fn what_goes_in_comes_out(rows in proptest::collection::vec((0u32..4, 0u32..4, body()), 0..30)) {
            let rows: Vec<_> = rows.into_iter().map(|(parent, key, body)| (Key { parent, key }, body)).collect();
            round_trip(&rows);
        }

        #[test]
        fn changed_bytes_are_refused_or_read_but_never_panic(
            rows in proptest::collection::vec((0u32..4, 0u32..4, body()), 1..8),
            changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        ) {
            let mut builder = ChunkBuilder::default();
            for (parent, key, body) in &rows {
                builder.push(Key { parent: *parent, key: *key }, "00u1", "", body.as_bytes());
            }
            let bytes = builder.finish().unwrap();
            let mut plain = decompress(&bytes).unwrap();
            for (index, byte) in changes {
                let at = index.index(plain.len());
                plain[at] = byte;
            }
            let mut changed = vec![VERSION];
            put_usize(&mut changed, plain.len());
            changed.extend_from_slice(&zstd::bulk::compress(&plain, 1).unwrap());
            Chunk::decode(&changed, &Numbered).ok();
            Chunk::decode(&plain, &Numbered).ok();
        }
    }

    #[test]
    fn values_are_counted_over_any_number_of_blocks() {
        let text: Vec<u8> = (0..1000u32)
            .flat_map(|n| {
                let length = usize::try_from(n * 7 % 23 + n / 300 * 90).unwrap();
                std::iter::repeat_n(b'x', length).chain([u8::from(n % 3 == 0)])
            })
            .collect();
        let mut rest = text.as_slice();
        for values in 1..=1000 {
            let (_, _, after) = next_value(rest).unwrap();
            rest = after;
            let read = text.len() - rest.len();
            assert_eq!(behind_values(&text, values), Some(read), "{values}");
        }
        assert_eq!(next_value(rest), None);
        assert_eq!(behind_values(&text, 1001), None);
        assert_eq!(next_value(b"without an end"), None);
    }

    #[test]
    fn other_versions_and_lengths_are_refused_by_name() {
        let bytes = ChunkBuilder::default().finish().unwrap();
        let mut newer = bytes.clone();
        newer[0] = 2;
        assert_eq!(
            Chunk::decode(&newer, &Numbered).unwrap_err().to_string(),
            "a chunk of unknown version 2"
        );
        assert!(Chunk::decode(&bytes[..bytes.len() - 1], &Numbered).is_err());
        assert!(Chunk::decode(&[VERSION, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f], &Numbered).is_err());
    }
}
