//! Quick looks at raw JSON without parsing it: the items of a page, one field of an item.
//!
//! These trust the shape between the quotes and brackets they look for; what they hand on is parsed by
//! [`canonical`](super::canonical) before it is kept.

use std::borrow::Cow;

use memchr::{memchr2, memchr3_iter};

use super::{CanonicalError, read_string};

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
        b'{' => brackets_end(raw, b'{', b'}'),
        b'[' => brackets_end(raw, b'[', b']'),
        _ => Some(
            raw.iter()
                .position(|byte| matches!(byte, b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t'))
                .unwrap_or(raw.len()),
        ),
    }
}

/// Brackets of the other kind need no counting: only `open` and `close` outside strings do.
fn brackets_end(raw: &[u8], open: u8, close: u8) -> Option<usize> {
    let mut depth = 0usize;
    let mut string_until = 0;
    for at in memchr3_iter(b'"', open, close, raw) {
        if at < string_until {
            continue;
        }
        match *raw.get(at)? {
            b'"' => string_until = at + 1 + string_end(raw.get(at + 1..)?)?,
            byte if byte == open => depth += 1,
            _ => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
        }
    }
    None
}

/// Finds the value of a top-level field of a JSON object.
fn top_level<'a>(raw: &'a [u8], field: &str) -> Option<&'a [u8]> {
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
        let value = raw.get(at..)?;
        let length = value_end(value)?;
        if key == field {
            return value.get(..length);
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
    let value = top_level(raw, field)?;
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
    const WANTED: CanonicalError = CanonicalError::Shape {
        wanted: "a JSON array of objects",
    };
    let mut items = Vec::new();
    let mut at = space(raw);
    if raw.get(at) != Some(&b'[') {
        return Err(WANTED);
    }
    at += 1;
    at += space(raw.get(at..).unwrap_or_default());
    let mut first = true;
    loop {
        match raw.get(at) {
            Some(b']') if first => break,
            Some(b'{') => {}
            Some(_) => return Err(WANTED),
            None => return Err(CanonicalError::Truncated),
        }
        first = false;
        let rest = raw.get(at..).unwrap_or_default();
        let length = value_end(rest).ok_or(CanonicalError::Truncated)?;
        items.push(rest.get(..length).unwrap_or_default());
        at += length;
        at += space(raw.get(at..).unwrap_or_default());
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

/// Like [`array_items`], for a list that stands in `property` of a JSON object.
///
/// # Errors
///
/// When `raw` is not a JSON object, or `property` is not a JSON array of objects.
pub fn array_items_in<'a>(raw: &'a [u8], property: &str) -> Result<Vec<&'a [u8]>, CanonicalError> {
    let list = top_level(raw, property).ok_or(CanonicalError::Shape {
        wanted: "a JSON object with the list of items",
    })?;
    array_items(list)
}
