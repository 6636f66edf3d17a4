//! Turns JSON into the one byte sequence that is hashed, compared and stored.
//!
//! Canonical JSON has its keys sorted, no whitespace, numbers exactly as they were written (RFC 8785 would pass
//! them through doubles and lose digits) and strings written one way: UTF-8, with `\"`, `\\`, `\b`, `\f`, `\n`,
//! `\r`, `\t` and otherwise `\u00xx` (lower-case) for control characters, and no other escape. Keys are ordered by
//! the bytes they are written as. Two keys of one object that are equal are refused, as are lone surrogates, invalid
//! UTF-8 and nesting beyond [`DEPTH_MAX`].
//!
//! [`canonical`] also applies the catalogue: what moves by itself is held apart ([`Split::observed`]), and `_links`,
//! `_link` and `_embedded` are left out wherever they stand, except for the paths that carry a reference.
//!
//! The parser is a single pass over bytes. What stands as it is to be written is copied in one piece: a whole object if
//! its keys come in order; another is written, then copied in the order of its keys, which are sorted by their first
//! eight bytes as numbers and compared further only where those are equal. Nothing is allocated for each value, and
//! [`Divider`] keeps its buffers from object to object. Measured on pages of 100,000 users' org: users 424 MB/s, assignments
//! 579 MB/s; copying each string and comparing whole keys took twice as long (225 and 313 MB/s).

use std::borrow::Cow;

use crate::catalogue::ObjectType;

mod blocks;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod json;
mod rules;
mod scan;

pub use json::Json;
pub use scan::{array_items, array_items_in, item_places, top_level_str};

use blocks::plain_run;
use rules::Rules;

/// The deepest nesting that is read; Okta's own objects stay below 20.
pub const DEPTH_MAX: usize = 128;

/// Why bytes are not JSON that can be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CanonicalError {
    /// The bytes are not JSON.
    #[error("not valid JSON at byte {at}")]
    Malformed {
        /// Where the first byte that cannot be read stands.
        at: usize,
    },
    /// The bytes end within a value.
    #[error("the JSON ends too early")]
    Truncated,
    /// The bytes are not UTF-8.
    #[error("not valid UTF-8 at byte {at}")]
    NotUtf8 {
        /// Where the first byte that cannot be read stands.
        at: usize,
    },
    /// One object has a key twice, so that it says two things.
    #[error("a key occurs twice in one object at byte {at}")]
    DuplicateKey {
        /// Where the object ends.
        at: usize,
    },
    /// A `\u` escape names half a character.
    #[error("half a surrogate pair at byte {at}")]
    LoneSurrogate {
        /// Where the escape stands.
        at: usize,
    },
    /// The nesting is deeper than [`DEPTH_MAX`].
    #[error("nested deeper than {DEPTH_MAX} levels")]
    TooDeep,
    /// The bytes are JSON, but not of the wanted shape.
    #[error("not {wanted}")]
    Shape {
        /// What was wanted: `a JSON array of objects`.
        wanted: &'static str,
    },
}

/// An object in canonical form, divided by the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Split {
    /// What is hashed and stored; empty for a relation that says nothing beyond its ends.
    pub body: Vec<u8>,
    /// What moves by itself: an object of dotted path to value, or empty if there is nothing.
    pub observed: Vec<u8>,
}

/// Brings an object as Okta sent it into canonical form, as the catalogue says for its type.
///
/// # Errors
///
/// When `raw` is not one JSON object that can be kept.
pub fn canonical(object_type: ObjectType, raw: &[u8]) -> Result<Split, CanonicalError> {
    Divider::default().divide(object_type, raw)
}

/// Does what [`canonical`] does, for many objects with the same buffers.
#[derive(Debug, Default)]
pub struct Divider {
    buffers: Buffers,
    out: Vec<u8>,
}

impl Divider {
    /// Brings an object as Okta sent it into canonical form, as the catalogue says for its type.
    ///
    /// # Errors
    ///
    /// When `raw` is not one JSON object that can be kept.
    pub fn divide(&mut self, object_type: ObjectType, raw: &[u8]) -> Result<Split, CanonicalError> {
        let mut body = Vec::new();
        let body_bytes = self.divide_into(object_type, raw, &mut body)?;
        let observed = body.split_off(body_bytes);
        Ok(Split { body, observed })
    }

    /// As [`divide`](Self::divide), but appends the body and behind it what moves by itself to `to`; gives the length of the body.
    ///
    /// # Errors
    ///
    /// When `raw` is not one JSON object that can be kept; `to` may then hold more than before.
    pub fn divide_into(
        &mut self,
        object_type: ObjectType,
        raw: &[u8],
        to: &mut Vec<u8>,
    ) -> Result<usize, CanonicalError> {
        if object_type.entry().bare_relation {
            return Ok(0);
        }
        self.divide_by(rules::of(object_type), raw, to)
    }

    fn divide_by(
        &mut self,
        rules: &Rules,
        raw: &[u8],
        to: &mut Vec<u8>,
    ) -> Result<usize, CanonicalError> {
        self.out.clear();
        let mut parser = Parser::with(std::mem::take(&mut self.buffers), raw)?;
        parser.skip_space();
        if parser.peek() != Some(b'{') {
            return Err(CanonicalError::Shape {
                wanted: "a JSON object",
            });
        }
        parser.whole(&mut self.out, Some(rules))?;
        to.extend_from_slice(&self.out);
        parser.observed(to)?;
        self.buffers = parser.buffers;
        Ok(self.out.len())
    }
}

/// Brings any JSON value into canonical form, keeping everything.
///
/// # Errors
///
/// When `raw` is not one JSON value that can be kept.
pub fn canonical_json(raw: &[u8]) -> Result<Vec<u8>, CanonicalError> {
    let mut parser = Parser::new(raw)?;
    let mut body = Vec::with_capacity(raw.len());
    parser.skip_space();
    parser.whole(&mut body, None)?;
    Ok(body)
}

/// One member of an object, by its places in the output: the key's bytes, and the whole `"key":value`.
#[derive(Debug, Clone, Copy)]
struct Member {
    /// The first bytes of the key, as a number that orders as they do.
    prefix: u64,
    start: usize,
    key_end: usize,
    end: usize,
}

impl Member {
    fn key<'a>(&self, out: &'a [u8]) -> &'a [u8] {
        out.get(self.start + 1..self.key_end).unwrap_or_default()
    }
}

/// The first eight bytes of the key that ends at `end`, as a number that orders as they do; a shorter key is filled up
/// with zeros, which no key holds: control characters are written as escapes.
fn prefix(text: &[u8], start: usize, end: usize) -> u64 {
    let rest = text.get(start..).unwrap_or_default();
    let first = match rest.first_chunk::<8>() {
        Some(first) => *first,
        None => std::array::from_fn(|place| rest.get(place).copied().unwrap_or_default()),
    };
    let beyond = match end.saturating_sub(start) {
        0 => u64::MAX,
        bytes @ 1..8 => u64::MAX >> (8 * bytes),
        _ => 0,
    };
    u64::from_be_bytes(first) & !beyond
}

/// What a parser fills while it reads, to be used again.
#[derive(Debug, Default)]
struct Buffers {
    members: Vec<Member>,
    scratch: Vec<u8>,
    /// The path of what is being read, from the object at the top; kept only where rules look at it.
    path: String,
    /// What was held apart: the ends of path and value in `aside_text`, which holds them one after another.
    aside: Vec<Aside>,
    aside_text: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
struct Aside {
    start: usize,
    path_end: usize,
    end: usize,
}

impl Aside {
    fn path<'a>(&self, text: &'a [u8]) -> &'a [u8] {
        text.get(self.start..self.path_end).unwrap_or_default()
    }

    fn value<'a>(&self, text: &'a [u8]) -> &'a [u8] {
        text.get(self.path_end..self.end).unwrap_or_default()
    }
}

/// Reads JSON. What has been read from `copied` to `at` and not yet been written stands as it is to be written.
struct Parser<'a> {
    bytes: &'a [u8],
    at: usize,
    copied: usize,
    buffers: Buffers,
}

impl<'a> Parser<'a> {
    fn new(bytes: &'a [u8]) -> Result<Self, CanonicalError> {
        Self::with(Buffers::default(), bytes)
    }

    fn with(mut buffers: Buffers, bytes: &'a [u8]) -> Result<Self, CanonicalError> {
        if let Err(error) = std::str::from_utf8(bytes) {
            return Err(CanonicalError::NotUtf8 {
                at: error.valid_up_to(),
            });
        }
        buffers.members.clear();
        buffers.path.clear();
        buffers.aside.clear();
        buffers.aside_text.clear();
        Ok(Self {
            bytes,
            at: 0,
            copied: 0,
            buffers,
        })
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    /// What is wrong where the parser stands.
    fn wrong(&self) -> CanonicalError {
        if self.at >= self.bytes.len() {
            CanonicalError::Truncated
        } else {
            CanonicalError::Malformed { at: self.at }
        }
    }

    fn end(&mut self) -> Result<(), CanonicalError> {
        self.skip_space();
        if self.at == self.bytes.len() {
            Ok(())
        } else {
            Err(self.wrong())
        }
    }

    /// Writes what was read and stands as it is to be written.
    fn flush(&mut self, out: &mut Vec<u8>) {
        let read = self.bytes.get(self.copied..self.at);
        out.extend_from_slice(read.unwrap_or_default());
        self.copied = self.at;
    }

    /// Where in the output the next byte that is read will stand.
    fn place(&self, out: &[u8]) -> usize {
        out.len() + self.at - self.copied
    }

    /// Skips space, which is not written.
    fn leave_out_space(&mut self, out: &mut Vec<u8>) {
        if let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.flush(out);
            self.skip_space();
            self.copied = self.at;
        }
    }

    /// Appends what was held apart, as one canonical object.
    fn observed(&mut self, out: &mut Vec<u8>) -> Result<(), CanonicalError> {
        let text = self.buffers.aside_text.as_slice();
        let aside = &mut self.buffers.aside;
        if aside.is_empty() {
            return Ok(());
        }
        aside.sort_unstable_by(|a, b| a.path(text).cmp(b.path(text)));
        let equal = |pair: &[Aside]| matches!(pair, [a, b] if a.path(text) == b.path(text));
        if aside.windows(2).any(equal) {
            return Err(CanonicalError::DuplicateKey { at: self.at });
        }
        let mut mark = b'{';
        for held in aside.iter() {
            out.push(mark);
            mark = b',';
            write_string(out, held.path(text));
            out.push(b':');
            out.extend_from_slice(held.value(text));
        }
        out.push(b'}');
        Ok(())
    }

    /// Reads the one value there is, from where the parser stands.
    fn whole(&mut self, out: &mut Vec<u8>, rules: Option<&Rules>) -> Result<(), CanonicalError> {
        self.copied = self.at;
        self.value(out, rules, 0)?;
        self.flush(out);
        self.end()
    }

    fn value(
        &mut self,
        out: &mut Vec<u8>,
        rules: Option<&Rules>,
        depth: usize,
    ) -> Result<(), CanonicalError> {
        match self.peek() {
            Some(b'"') => self.string(out),
            Some(b'{') if depth < DEPTH_MAX => self.object(out, rules, depth),
            Some(b'[') if depth < DEPTH_MAX => self.array(out, rules, depth),
            Some(b'{' | b'[') => Err(CanonicalError::TooDeep),
            Some(b't') => self.word(b"true"),
            Some(b'f') => self.word(b"false"),
            Some(b'n') => self.word(b"null"),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => Err(self.wrong()),
        }
    }

    fn word(&mut self, word: &[u8]) -> Result<(), CanonicalError> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        if rest.starts_with(word) {
            self.at += word.len();
            Ok(())
        } else {
            Err(self.wrong())
        }
    }

    fn digits(&mut self) -> Result<(), CanonicalError> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at == start {
            Err(self.wrong())
        } else {
            Ok(())
        }
    }

    fn number(&mut self) -> Result<(), CanonicalError> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    /// Reads a string, quotes included, re-encoding its escapes.
    fn string(&mut self, out: &mut Vec<u8>) -> Result<(), CanonicalError> {
        self.at += 1;
        loop {
            let rest = self.bytes.get(self.at..).unwrap_or_default();
            self.at += plain_run(rest);
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => {
                    self.flush(out);
                    let decoded = self.escape()?;
                    write_escaped(out, decoded.encode_utf8(&mut [0; 4]).as_bytes());
                    self.copied = self.at;
                }
                _ => return Err(self.wrong()),
            }
        }
    }

    /// Reads one escape, which starts where the parser stands.
    fn escape(&mut self) -> Result<char, CanonicalError> {
        let start = self.at;
        self.at += 1;
        let letter = self.peek().ok_or(CanonicalError::Truncated)?;
        let plain = match letter {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                self.at += 1;
                let first = self.hex4()?;
                if !(0xd800..0xe000).contains(&first) {
                    return char::from_u32(first)
                        .ok_or(CanonicalError::LoneSurrogate { at: start });
                }
                let rest = self.bytes.get(self.at..).unwrap_or_default();
                if first >= 0xdc00 || !rest.starts_with(b"\\u") {
                    return Err(CanonicalError::LoneSurrogate { at: start });
                }
                self.at += 2;
                let second = self.hex4()?;
                if !(0xdc00..0xe000).contains(&second) {
                    return Err(CanonicalError::LoneSurrogate { at: start });
                }
                let code = 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                return char::from_u32(code).ok_or(CanonicalError::LoneSurrogate { at: start });
            }
            _ => return Err(self.wrong()),
        };
        self.at += 1;
        Ok(plain)
    }

    fn hex4(&mut self) -> Result<u32, CanonicalError> {
        let mut code = 0;
        for _ in 0..4 {
            let digit = self.peek().ok_or(CanonicalError::Truncated)?;
            let value = char::from(digit).to_digit(16).ok_or_else(|| self.wrong())?;
            code = (code << 4) | value;
            self.at += 1;
        }
        Ok(code)
    }

    fn array(
        &mut self,
        out: &mut Vec<u8>,
        rules: Option<&Rules>,
        depth: usize,
    ) -> Result<(), CanonicalError> {
        let ruled = rules.and_then(|rules| rules.each.as_deref());
        let inner = ruled.or(rules.map(|_| rules::plain()));
        self.at += 1;
        self.leave_out_space(out);
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(());
        }
        let mut place = 0usize;
        loop {
            let above = self.buffers.path.len();
            if ruled.is_some() {
                self.buffers.path.push_str(&format!("[{place}]"));
            }
            self.value(out, inner, depth + 1)?;
            self.buffers.path.truncate(above);
            place += 1;
            self.leave_out_space(out);
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err(self.wrong()),
            }
            self.leave_out_space(out);
        }
    }

    fn object(
        &mut self,
        out: &mut Vec<u8>,
        rules: Option<&Rules>,
        depth: usize,
    ) -> Result<(), CanonicalError> {
        self.at += 1;
        self.leave_out_space(out);
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        let base = self.buffers.members.len();
        let start = self.place(out);
        // Whether the members stand in the output as they are to stay.
        let mut in_order = true;
        let mut last = None;
        loop {
            if self.peek() != Some(b'"') {
                return Err(self.wrong());
            }
            let mut member = self.key(out)?;
            let kept = match rules {
                Some(rules) => self.ruled_member(out, rules, &member, depth)?,
                None => {
                    self.value(out, None, depth + 1)?;
                    true
                }
            };
            if kept {
                in_order &= last.is_none_or(|last| last < member.prefix);
                last = Some(member.prefix);
                member.end = self.place(out);
                self.buffers.members.push(member);
            } else {
                in_order = false;
            }
            self.leave_out_space(out);
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => break,
                _ => return Err(self.wrong()),
            }
            self.leave_out_space(out);
        }
        if !in_order {
            self.flush(out);
            self.put_in_order(out, start, base)?;
        }
        self.buffers.members.truncate(base);
        self.at += 1;
        Ok(())
    }

    /// Reads a member up to its value.
    fn key(&mut self, out: &mut Vec<u8>) -> Result<Member, CanonicalError> {
        let (read_from, start, written) = (self.at, self.place(out), self.copied);
        self.string(out)?;
        let key_end = self.place(out) - 1;
        let prefix = if self.copied == written {
            prefix(self.bytes, read_from + 1, self.at - 1)
        } else {
            // It had escapes.
            self.flush(out);
            prefix(out, start + 1, key_end)
        };
        self.leave_out_space(out);
        if self.peek() != Some(b':') {
            return Err(self.wrong());
        }
        self.at += 1;
        self.leave_out_space(out);
        Ok(Member {
            prefix,
            start,
            key_end,
            end: key_end,
        })
    }

    /// Reads one member's value as the rules say; `false` if the member is to be left out, and then nothing of it is
    /// written.
    fn ruled_member(
        &mut self,
        out: &mut Vec<u8>,
        rules: &Rules,
        member: &Member,
        depth: usize,
    ) -> Result<bool, CanonicalError> {
        let found = {
            let written = self.copied;
            let key = match member.start.checked_sub(out.len()) {
                Some(ahead) => self
                    .bytes
                    .get(written + ahead + 1..written + ahead + member.key_end - member.start),
                None => None,
            };
            // A key that had escapes, or space behind it, is written already.
            rules.member(key.unwrap_or_else(|| member.key(out)))
        };
        match found {
            rules::Member::Plain => {
                self.value(out, Some(rules::plain()), depth + 1)?;
                Ok(true)
            }
            rules::Member::Drop => {
                self.flush(out);
                out.truncate(member.start);
                let rest = self.bytes.get(self.at..).unwrap_or_default();
                self.at += scan::value_end(rest).ok_or(CanonicalError::Truncated)?;
                self.copied = self.at;
                Ok(false)
            }
            rules::Member::Ruled(inner) => {
                self.flush(out);
                let above = self.buffers.path.len();
                if above > 0 {
                    self.buffers.path.push('.');
                }
                let key = String::from_utf8_lossy(member.key(out));
                self.buffers.path.push_str(&key);
                let kept = if inner.observed {
                    self.hold_apart(depth)?;
                    false
                } else {
                    let value_start = out.len();
                    self.value(out, Some(inner), depth + 1)?;
                    self.flush(out);
                    let value = out.get(value_start..).unwrap_or_default();
                    !(inner.only && (value == b"{}" || value == b"[]"))
                };
                if !kept {
                    out.truncate(member.start);
                }
                self.buffers.path.truncate(above);
                Ok(kept)
            }
        }
    }

    /// Reads a value that moves by itself.
    fn hold_apart(&mut self, depth: usize) -> Result<(), CanonicalError> {
        let mut text = std::mem::take(&mut self.buffers.aside_text);
        let start = text.len();
        text.extend_from_slice(self.buffers.path.as_bytes());
        let path_end = text.len();
        self.value(&mut text, None, depth + 1)?;
        self.flush(&mut text);
        self.buffers.aside.push(Aside {
            start,
            path_end,
            end: text.len(),
        });
        self.buffers.aside_text = text;
        Ok(())
    }

    /// Copies the members of the object that begins at `start` in the order of their keys.
    fn put_in_order(
        &mut self,
        out: &mut Vec<u8>,
        start: usize,
        base: usize,
    ) -> Result<(), CanonicalError> {
        let Buffers {
            members, scratch, ..
        } = &mut self.buffers;
        let members = members.get_mut(base..).unwrap_or_default();
        members.sort_unstable_by(|a, b| {
            let by_prefix = a.prefix.cmp(&b.prefix);
            by_prefix.then_with(|| a.key(out).cmp(b.key(out)))
        });
        let equal = |a: &Member, b: &Member| a.prefix == b.prefix && a.key(out) == b.key(out);
        if members
            .windows(2)
            .any(|pair| matches!(pair, [a, b] if equal(a, b)))
        {
            return Err(CanonicalError::DuplicateKey { at: self.at });
        }
        scratch.clear();
        for member in members.iter() {
            if !scratch.is_empty() {
                scratch.push(b',');
            }
            scratch.extend_from_slice(out.get(member.start..member.end).unwrap_or_default());
        }
        out.truncate(start);
        out.extend_from_slice(scratch);
        Ok(())
    }
}

/// Writes the content of a string with the escapes it needs, without quotes.
fn write_escaped(out: &mut Vec<u8>, text: &[u8]) {
    for &byte in text {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x0c => out.extend_from_slice(b"\\f"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x00..=0x1f => {
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(crate::id::hex(&[byte]).as_bytes());
            }
            _ => out.push(byte),
        }
    }
}

/// Writes a string with its quotes.
fn write_string(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    if plain_run(text) == text.len() {
        out.extend_from_slice(text);
    } else {
        write_escaped(out, text);
    }
    out.push(b'"');
}

/// Reads the string that starts at `raw`'s first byte (its opening quote); gives it and what follows.
fn read_string(raw: &[u8]) -> Option<(Cow<'_, str>, &[u8])> {
    let body = raw.get(1..)?;
    let is_end = |byte: &u8| matches!(byte, b'"' | b'\\');
    let plain = body.iter().position(is_end)?;
    if body.get(plain) == Some(&b'"') {
        let (text, rest) = body.split_at(plain);
        return Some((
            Cow::Borrowed(std::str::from_utf8(text).ok()?),
            rest.get(1..)?,
        ));
    }
    let end = plain + scan::string_end(body.get(plain..)?)?;
    let mut parser = Parser::new(raw.get(..end + 1)?).ok()?;
    let mut text = String::new();
    parser.at = 1;
    while let Some(byte) = parser.peek() {
        match byte {
            b'"' => return Some((Cow::Owned(text), raw.get(parser.at + 1..)?)),
            b'\\' => text.push(parser.escape().ok()?),
            _ => {
                let rest = std::str::from_utf8(raw.get(parser.at..end + 1)?).ok()?;
                let next = rest.chars().next()?;
                text.push(next);
                parser.at += next.len_utf8();
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn split_by(divider: &mut Divider, rules: &Rules, raw: &[u8]) -> Result<Split, CanonicalError> {
        let mut body = b"before".to_vec();
        let body_bytes = divider.divide_by(rules, raw, &mut body)?;
        let observed = body.split_off(b"before".len() + body_bytes);
        Ok(Split {
            body: body.split_off(b"before".len()),
            observed,
        })
    }

    fn text(raw: &str) -> String {
        String::from_utf8(canonical_json(raw.as_bytes()).unwrap()).unwrap()
    }

    #[test]
    fn the_bytes_are_these() {
        for (raw, wanted) in [
            (
                r#" { "b" : 1 , "a" : [ true , false , null ] } "#,
                r#"{"a":[true,false,null],"b":1}"#,
            ),
            (
                r#"{"z":{"y":1,"x":{"w":2,"v":{}}},"a":[]}"#,
                r#"{"a":[],"z":{"x":{"v":{},"w":2},"y":1}}"#,
            ),
            (
                r#"[12345678901234567890,1e2,1E+2,-0,0.10]"#,
                r#"[12345678901234567890,1e2,1E+2,-0,0.10]"#,
            ),
            (
                r#""a\/\u0041\u00e9\ud83d\ude00\u000a\u001F\"\\""#,
                "\"a/A\u{e9}\u{1f600}\\n\\u001f\\\"\\\\\"",
            ),
            (r#"{"\u0062":1,"a":2}"#, r#"{"a":2,"b":1}"#),
            (r#"{"a!":1,"a\"":2,"a":3}"#, r#"{"a":3,"a!":1,"a\"":2}"#),
        ] {
            assert_eq!(text(raw), wanted);
            assert_eq!(
                Json::parse(raw.as_bytes()).unwrap().to_bytes(),
                wanted.as_bytes()
            );
        }
    }

    #[test]
    fn what_says_two_things_or_nothing_is_refused() {
        let deep = "[".repeat(200) + &"]".repeat(200);
        for raw in [
            "",
            "{",
            "[1,]",
            "{\"a\":1,}",
            "01",
            "1.",
            "+1",
            ".5",
            "1e",
            "nul",
            "\"\u{1}\"",
            "\"\\x\"",
            "\"\\ud800\"",
            "\"\\udc00\"",
            "\"\\ud800\\u0041\"",
            "{\"a\":1,\"a\":2}",
            "{\"b\":1,\"a\":1,\"b\":2}",
            "{\"a\":1,\"\\u0061\":2}",
            "1 2",
            "\"",
            "{a:1}",
            &deep,
        ] {
            assert!(canonical_json(raw.as_bytes()).is_err(), "{raw}");
            assert!(Json::parse(raw.as_bytes()).is_err(), "{raw}");
        }
        assert!(canonical_json(b"\"\xff\"").is_err());
    }

    #[test]
    fn links_are_left_out_and_nothing_else() {
        let org_setting = "org_setting".parse::<ObjectType>().unwrap();
        let raw = br#"{"id":"x","_links":{"self":{"href":"h\"}]"}},"a":[{"_embedded":{"b":1},"c":"_links"}],"_link":1}"#;
        let split = canonical(org_setting, raw).unwrap();
        assert_eq!(
            String::from_utf8(split.body).unwrap(),
            r#"{"a":[{"c":"_links"}],"id":"x"}"#
        );
        assert_eq!(split.observed, b"");
    }

    #[test]
    fn rules_hold_apart_what_moves_and_keep_links_that_refer() {
        let mut rules = Rules::default();
        rules.mark("lastLogin", false, |place| place.observed = true);
        rules.mark("a[].b", false, |place| place.observed = true);
        rules.mark("_links.accessPolicy.href", false, |_| {});
        let raw = br#"{"lastLogin":null,"x":1,"a":[{"b":2,"c":3}],"_links":{"self":{"href":"s"},"accessPolicy":{"href":"p","m":1}}}"#;
        let split = split_by(&mut Divider::default(), &rules, raw).unwrap();
        assert_eq!(
            String::from_utf8(split.body).unwrap(),
            r#"{"_links":{"accessPolicy":{"href":"p"}},"a":[{"c":3}],"x":1}"#
        );
        assert_eq!(
            String::from_utf8(split.observed).unwrap(),
            r#"{"a[0].b":2,"lastLogin":null}"#
        );
    }

    #[test]
    fn the_catalogue_divides_a_user_and_an_app() {
        let user = br#"{"id":"00u1","lastLogin":"2026-01-01T00:00:00.000Z","profile":{"login":"a"},"_links":{"self":{"href":"x"}}}"#;
        let split = canonical("user".parse().unwrap(), user).unwrap();
        assert_eq!(split.body, br#"{"id":"00u1","profile":{"login":"a"}}"#);
        assert_eq!(
            split.observed,
            br#"{"lastLogin":"2026-01-01T00:00:00.000Z"}"#
        );

        let app = br#"{"label":"A","id":"0oa1","_links":{"users":{"href":"u"},"accessPolicy":{"href":"https://x/api/v1/policies/rst1"}}}"#;
        let split = canonical("app".parse().unwrap(), app).unwrap();
        let wanted = r#"{"_links":{"accessPolicy":{"href":"https://x/api/v1/policies/rst1"}},"id":"0oa1","label":"A"}"#;
        assert_eq!(String::from_utf8(split.body).unwrap(), wanted);
        assert_eq!(
            canonical("group_member".parse().unwrap(), user).unwrap(),
            Split::default()
        );
    }

    #[test]
    fn pages_are_divided_as_they_stand() {
        assert_eq!(array_items(b" [ ] ").unwrap().len(), 0);
        let page = br#"[ {"id":"a]}\"","n":[{}]} , {"id":"b"}]"#;
        let items = array_items(page).unwrap();
        assert_eq!(items.len(), 2);
        let ids: Vec<_> = items
            .iter()
            .map(|item| top_level_str(item, "id").unwrap().into_owned())
            .collect();
        assert_eq!(ids, ["a]}\"", "b"]);
        let wrapped = br#"{"x":{"roles":1},"roles":[{"id":"r"}],"_links":{}}"#;
        assert_eq!(
            array_items_in(wrapped, "roles").unwrap(),
            [br#"{"id":"r"}"#]
        );
        for bad in ["", "{}", "[1]", "[{}", "[{}{}]", "[{},]", "[{}] x", "null"] {
            assert!(array_items(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_top_level_field_is_found_behind_nested_ones() {
        let raw = br#" {"a":{"id":"no"},"b":["id","no"],"s":"\"id\":\"no\"","id":"y\u0065s"}"#;
        assert_eq!(top_level_str(raw, "id").unwrap(), "yes");
        assert_eq!(top_level_str(raw, "a"), None);
        assert_eq!(top_level_str(raw, "zz"), None);
        assert_eq!(top_level_str(b"[]", "id"), None);
    }

    #[test]
    fn paths_reach_into_arrays_and_objects() {
        let mut value =
            Json::parse(br#"{"a":[{"b":"1"},{"b":"2"}],"c":{"x":{"d":"3"},"y":{"d":"4"}}}"#)
                .unwrap();
        let mut seen = Vec::new();
        value.visit("a[].b", &mut |found| {
            seen.push(found.as_str().unwrap().to_owned())
        });
        value.visit("c.*.d", &mut |found| {
            seen.push(found.as_str().unwrap().to_owned())
        });
        assert_eq!(seen, ["1", "2", "3", "4"]);
        value.visit_mut("a[]", &mut |found| *found = Json::Null);
        value.remove("c.*.d");
        assert_eq!(value.at("c.x").unwrap(), &Json::Object(Default::default()));
        assert_eq!(
            String::from_utf8(value.to_bytes()).unwrap(),
            r#"{"a":[null,null],"c":{"x":{},"y":{}}}"#
        );
    }

    fn any_json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<String>().prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
                proptest::collection::vec((".{0,3}", inner), 0..6)
                    .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
            ]
        })
    }

    /// An object with keys that rules name, and with keys that differ only after some bytes.
    fn any_object() -> impl Strategy<Value = serde_json::Value> {
        let key = prop::sample::select(vec![
            "a",
            "b",
            "lastLogin",
            "lastLogi",
            "lastLogins",
            "_links",
            "_link",
            "_embedded",
            "accessPolicy",
            "accessPolicies",
            "href",
            "",
            "q\"",
            "\u{1}",
            "\u{e9}\u{1f600}x",
        ]);
        let members = move |value: BoxedStrategy<serde_json::Value>| {
            proptest::collection::vec((key.clone(), value), 0..8).prop_map(|members| {
                let members = members
                    .into_iter()
                    .map(|(key, value)| (key.to_owned(), value));
                serde_json::Value::Object(members.collect())
            })
        };
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<i64>().prop_map(Into::into),
            "[a-z\"/\\\\\u{1f}\u{e9}]{0,20}".prop_map(Into::into),
        ];
        let inner = leaf.prop_recursive(3, 30, 6, move |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
                members(inner.boxed()),
            ]
        });
        let key = prop::sample::select(vec!["a", "b", "lastLogin", "_links", "_embedded", "z"]);
        proptest::collection::vec((key, inner), 0..8).prop_map(|members| {
            let members = members
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value));
            serde_json::Value::Object(members.collect())
        })
    }

    /// What the rules leave of a value: the slow, obvious way.
    fn divided(
        value: Json,
        rules: &Rules,
        path: &str,
        observed: &mut BTreeMap<String, Json>,
    ) -> Json {
        match value {
            Json::Array(items) => {
                let inner = rules.each.as_deref().unwrap_or(rules::plain());
                let item =
                    |(place, item)| divided(item, inner, &format!("{path}[{place}]"), observed);
                Json::Array(items.into_iter().enumerate().map(item).collect())
            }
            Json::Object(members) => {
                let mut kept = BTreeMap::new();
                for (key, value) in members {
                    let dot = if path.is_empty() { "" } else { "." };
                    // Keys count as they are written.
                    let mut written = Vec::new();
                    write_escaped(&mut written, key.as_bytes());
                    let below = format!("{path}{dot}{}", std::str::from_utf8(&written).unwrap());
                    match rules.member(&written) {
                        rules::Member::Drop => {}
                        rules::Member::Plain => {
                            kept.insert(key, divided(value, rules::plain(), &below, observed));
                        }
                        rules::Member::Ruled(inner) if inner.observed => {
                            observed.insert(below, value);
                        }
                        rules::Member::Ruled(inner) => {
                            let value = divided(value, inner, &below, observed);
                            let empty = matches!(value.to_bytes().as_slice(), b"{}" | b"[]");
                            if !(inner.only && empty) {
                                kept.insert(key, value);
                            }
                        }
                    }
                }
                Json::Object(kept)
            }
            value => value,
        }
    }

    /// Writes with the keys of each object reversed, spaces between, and every character of strings escaped.
    fn write_oddly(value: &serde_json::Value, out: &mut String) {
        let odd = |text: &str, out: &mut String| {
            out.push('"');
            for unit in text.encode_utf16() {
                out.push_str(&format!("\\u{unit:04X}"));
            }
            out.push('"');
        };
        match value {
            serde_json::Value::String(text) => odd(text, out),
            serde_json::Value::Array(items) => {
                out.push('[');
                for (place, item) in items.iter().enumerate() {
                    out.push_str(if place > 0 { " ,\n" } else { "\t" });
                    write_oddly(item, out);
                }
                out.push(']');
            }
            serde_json::Value::Object(members) => {
                out.push('{');
                for (place, (key, item)) in members.iter().rev().enumerate() {
                    out.push_str(if place > 0 { " , " } else { " " });
                    odd(key, out);
                    out.push_str(" : ");
                    write_oddly(item, out);
                }
                out.push('}');
            }
            plain => out.push_str(&plain.to_string()),
        }
    }

    proptest! {
        #[test]
        fn one_value_has_one_form(value in any_json()) {
            let plain = value.to_string();
            let form = canonical_json(plain.as_bytes()).unwrap();
            let mut odd = String::new();
            write_oddly(&value, &mut odd);
            prop_assert_eq!(&canonical_json(odd.as_bytes()).unwrap(), &form);
            prop_assert_eq!(&canonical_json(&form).unwrap(), &form);
            prop_assert_eq!(&Json::parse(odd.as_bytes()).unwrap().to_bytes(), &form);
            prop_assert_eq!(serde_json::from_slice::<serde_json::Value>(&form).unwrap(), value);
        }

        #[test]
        fn objects_are_divided_as_slowly(value in any_object(), odd in any::<bool>(), fault in 0usize..2000, byte in any::<u8>()) {
            let mut rules = Rules::default();
            rules.mark("lastLogin", false, |place| place.observed = true);
            rules.mark("a[].lastLogin", false, |place| place.observed = true);
            rules.mark("a.*.b", false, |place| place.observed = true);
            rules.mark("_links.accessPolicy.href", false, |_| {});
            let mut raw = value.to_string();
            if odd {
                raw.clear();
                write_oddly(&value, &mut raw);
            }
            let mut divider = Divider::default();
            // The buffers are used again, also after an error.
            let cut = raw.as_bytes().get(..raw.len() - 1).unwrap();
            prop_assert!(split_by(&mut divider, &rules, cut).is_err());
            let split = split_by(&mut divider, &rules, raw.as_bytes()).unwrap();
            let mut observed = BTreeMap::new();
            let body = divided(Json::parse(raw.as_bytes()).unwrap(), &rules, "", &mut observed);
            prop_assert_eq!(&split.body, &body.to_bytes());
            let aside = if observed.is_empty() { Vec::new() } else { Json::Object(observed).to_bytes() };
            prop_assert_eq!(&split.observed, &aside);
            // With one byte changed it is still canonical, or refused.
            let mut raw = raw.into_bytes();
            let at = fault % raw.len();
            raw[at] = byte;
            match (split_by(&mut divider, &rules, &raw), Json::parse(&raw)) {
                (Ok(split), _) => prop_assert_eq!(Json::parse(&split.body).unwrap().to_bytes(), split.body),
                (Err(_), Ok(Json::Object(_))) => prop_assert!(false, "refused: {}", String::from_utf8_lossy(&raw)),
                (Err(_), _) => {}
            }
        }

        #[test]
        fn any_bytes_give_a_form_or_an_error(raw in proptest::collection::vec(any::<u8>(), 0..200), text in "[\\[\\]{}\",:0-9a-z\\\\ -]{0,80}") {
            for raw in [raw.as_slice(), text.as_bytes()] {
                let ours = canonical_json(raw);
                prop_assert_eq!(Json::parse(raw).is_ok(), ours.is_ok());
                if ours.is_ok() {
                    prop_assert!(serde_json::from_slice::<&serde_json::value::RawValue>(raw).is_ok());
                }
                array_items(raw).ok();
                array_items_in(raw, "a").ok();
                let field = top_level_str(raw, "a");
                prop_assert!(field.is_none_or(|field| field.len() <= raw.len()));
            }
        }
    }
}
