//! Quick looks at raw JSON without parsing it: the items of a page, one field of an item.
//!
//! These trust the shape between the quotes and brackets they look for; what they hand on is parsed by
//! [`canonical`](super::canonical) before it is kept.

use std::borrow::Cow;
use std::ops::Range;

use memchr::memchr2;

use super::blocks::Brackets;
use super::{CanonicalError, read_string};

const NO_LIST: CanonicalError = CanonicalError::Shape {
    wanted: "a JSON array of objects",
};

/// The length of a string's rest, closing quote included; `body` starts after the opening quote.
pub(super) fn string_end(body: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += memchr2(b'"', b'\\', body.get(at..)?)?;
        if body.get(at) == Some(&b'"') {
            return Some(at + 1);
        }
        at += 2;
    }
}

fn space(raw: &[u8]) -> usize {
    raw.iter()
        .take_while(|byte| matches!(byte, b' ' | b'\n' | b'\r' | b'\t'))
        .count()
}

/// The length of the value that starts `raw`'s first byte.
pub(super) fn value_end(raw: &[u8]) -> Option<usize> {
    match raw.first()? {
        b'"' => Some(1 + string_end(raw.get(1..)?)?),
        // Brackets of the other kind need no counting.
        b'{' => Brackets::new(raw, 0, b'{', b'}').close_of_next(),
        b'[' => Brackets::new(raw, 0, b'[', b']').close_of_next(),
        _ => Some(
            raw.iter()
                .position(|byte| matches!(byte, b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t'))
                .unwrap_or(raw.len()),
        ),
    }
}

/// Finds the value of a top-level field of a JSON object.
fn top_level(raw: &[u8], field: &str) -> Option<Range<usize>> {
    let mut at = space(raw);
    if raw.get(at) != Some(&b'{') {
        return None;
    }
    at += 1;
    loop {
        at += space(raw.get(at..)?);
        if raw.get(at) != Some(&b'"') {
            return None;
        }
        let (key, rest) = read_string(raw.get(at..)?)?;
        at = raw.len() - rest.len();
        at += space(rest);
        if raw.get(at) != Some(&b':') {
            return None;
        }
        at += 1;
        at += space(raw.get(at..)?);
        let length = value_end(raw.get(at..)?)?;
        if key == field {
            return Some(at..at + length);
        }
        at += length;
        at += space(raw.get(at..)?);
        if raw.get(at) != Some(&b',') {
            return None;
        }
        at += 1;
    }
}

/// The value of a top-level string field of a JSON object; `None` if there is none or it is no string.
///
/// Stops at the field, and skips other values without looking into them.
#[must_use]
pub fn top_level_str<'a>(raw: &'a [u8], field: &str) -> Option<Cow<'a, str>> {
    let value = raw.get(top_level(raw, field)?)?;
    if value.first() != Some(&b'"') {
        return None;
    }
    read_string(value).map(|(text, _)| text)
}

/// Divides a page, a JSON array of objects, into its items as they stand.
///
/// # Errors
///
/// When `raw` is not a JSON array of objects.
pub fn array_items(raw: &[u8]) -> Result<Vec<&[u8]>, CanonicalError> {
    let places = item_places(raw, None)?;
    Ok(places
        .into_iter()
        .map(|place| raw.get(place).unwrap_or_default())
        .collect())
}

/// Like [`array_items`], for a list that stands in `property` of a JSON object.
///
/// # Errors
///
/// When `raw` is not a JSON object, or `property` is not a JSON array of objects.
pub fn array_items_in<'a>(raw: &'a [u8], property: &str) -> Result<Vec<&'a [u8]>, CanonicalError> {
    let places = item_places(raw, Some(property))?;
    Ok(places
        .into_iter()
        .map(|place| raw.get(place).unwrap_or_default())
        .collect())
}

/// Where the items of a page stand: of a JSON array of objects, or of the one in `property` of a JSON object.
///
/// # Errors
///
/// As [`array_items`] and [`array_items_in`].
pub fn item_places(
    raw: &[u8],
    property: Option<&str>,
) -> Result<Vec<Range<usize>>, CanonicalError> {
    let list = match property {
        None => 0..raw.len(),
        Some(property) => top_level(raw, property).ok_or(CanonicalError::Shape {
            wanted: "a JSON object with the list of items",
        })?,
    };
    let start = list.start;
    let mut items = places_in(raw.get(list).unwrap_or_default())?;
    if start > 0 {
        for item in &mut items {
            *item = item.start + start..item.end + start;
        }
    }
    Ok(items)
}

fn places_in(raw: &[u8]) -> Result<Vec<Range<usize>>, CanonicalError> {
    let mut items = Vec::new();
    let mut at = space(raw);
    if raw.get(at) != Some(&b'[') {
        return Err(NO_LIST);
    }
    at += 1;
    at += space(raw.get(at..).unwrap_or_default());
    let mut objects = Brackets::new(raw, at, b'{', b'}');
    let mut first = true;
    loop {
        match raw.get(at) {
            Some(b']') if first => break,
            Some(b'{') => {}
            Some(_) => return Err(NO_LIST),
            None => return Err(CanonicalError::Truncated),
        }
        first = false;
        // Between items stands nothing but space and a comma: the next bracket is the one here.
        let end = objects.close_of_next().ok_or(CanonicalError::Truncated)?;
        items.push(at..end);
        at = end + space(raw.get(end..).unwrap_or_default());
        match raw.get(at) {
            Some(b',') => at += 1,
            Some(b']') => break,
            Some(_) => return Err(CanonicalError::Malformed { at }),
            None => return Err(CanonicalError::Truncated),
        }
        at += space(raw.get(at..).unwrap_or_default());
    }
    let rest = raw.get(at + 1..).unwrap_or_default();
    if space(rest) == rest.len() {
        Ok(items)
    } else {
        Err(CanonicalError::Malformed { at: at + 1 })
    }
}
