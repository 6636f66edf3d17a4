//! A JSON value that loses nothing: numbers stay as they were written.

use std::collections::BTreeMap;

use super::{CanonicalError, DEPTH_MAX, Parser, read_string, write_escaped, write_string};

/// A JSON value. Numbers are kept as text, so that none passes through a double.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Json {
    /// `null`.
    #[default]
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, exactly as it was written.
    Number(String),
    /// A string, decoded.
    String(String),
    /// An array.
    Array(Vec<Json>),
    /// An object.
    Object(BTreeMap<String, Json>),
}

impl Json {
    /// Reads one JSON value.
    ///
    /// # Errors
    ///
    /// When `raw` is not one JSON value that can be kept in canonical form.
    pub fn parse(raw: &[u8]) -> Result<Self, CanonicalError> {
        let mut parser = Parser::new(raw)?;
        parser.skip_space();
        let value = parser.json(0)?;
        parser.end()?;
        Ok(value)
    }

    /// The value in canonical form.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut out);
        out
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Null => out.extend_from_slice(b"null"),
            Self::Bool(true) => out.extend_from_slice(b"true"),
            Self::Bool(false) => out.extend_from_slice(b"false"),
            Self::Number(text) => out.extend_from_slice(text.as_bytes()),
            Self::String(text) => write_string(out, text.as_bytes()),
            Self::Array(items) => {
                out.push(b'[');
                for (place, item) in items.iter().enumerate() {
                    if place > 0 {
                        out.push(b',');
                    }
                    item.write(out);
                }
                out.push(b']');
            }
            Self::Object(members) => {
                out.push(b'{');
                let mut members: Vec<(&String, &Json)> = members.iter().collect();
                if members.iter().any(|(key, _)| {
                    key.bytes()
                        .any(|byte| byte < 0x20 || byte == b'"' || byte == b'\\')
                }) {
                    members.sort_by_cached_key(|(key, _)| {
                        let mut escaped = Vec::new();
                        write_escaped(&mut escaped, key.as_bytes());
                        escaped
                    });
                }
                for (place, (key, value)) in members.into_iter().enumerate() {
                    if place > 0 {
                        out.push(b',');
                    }
                    write_string(out, key.as_bytes());
                    out.push(b':');
                    value.write(out);
                }
                out.push(b'}');
            }
        }
    }

    /// The text of a string; `None` for any other value.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The members of an object; `None` for any other value.
    #[must_use]
    pub fn as_object(&self) -> Option<&BTreeMap<String, Json>> {
        match self {
            Self::Object(members) => Some(members),
            _ => None,
        }
    }

    /// The items of an array; `None` for any other value.
    #[must_use]
    pub fn as_array(&self) -> Option<&[Json]> {
        match self {
            Self::Array(items) => Some(items),
            _ => None,
        }
    }

    /// The value at a dotted path through objects (`profile.login`), without `[]` and `*`.
    #[must_use]
    pub fn at(&self, path: &str) -> Option<&Json> {
        path.split('.')
            .try_fold(self, |here, name| here.as_object()?.get(name))
    }

    /// Calls `see` with each value at `path`, in which `[]` steps into each element of an array and `*` into each value of an object.
    pub fn visit(&self, path: &str, see: &mut dyn FnMut(&Json)) {
        match first_step(path) {
            None => see(self),
            Some((Step::Each, rest)) => {
                for item in self.as_array().unwrap_or_default() {
                    item.visit(rest, see);
                }
            }
            Some((Step::Any, rest)) => {
                for value in self.as_object().into_iter().flat_map(BTreeMap::values) {
                    value.visit(rest, see);
                }
            }
            Some((Step::Name(name), rest)) => {
                if let Some(value) = self.as_object().and_then(|members| members.get(name)) {
                    value.visit(rest, see);
                }
            }
        }
    }

    /// Like [`visit`](Self::visit), with values that may be changed.
    pub fn visit_mut(&mut self, path: &str, change: &mut dyn FnMut(&mut Json)) {
        match (first_step(path), self) {
            (None, here) => change(here),
            (Some((Step::Each, rest)), Self::Array(items)) => {
                for item in items {
                    item.visit_mut(rest, change);
                }
            }
            (Some((Step::Any, rest)), Self::Object(members)) => {
                for value in members.values_mut() {
                    value.visit_mut(rest, change);
                }
            }
            (Some((Step::Name(name), rest)), Self::Object(members)) => {
                if let Some(value) = members.get_mut(name) {
                    value.visit_mut(rest, change);
                }
            }
            _ => {}
        }
    }

    /// Takes out what stands at `path` (with `[]` and `*` before its last name); elements of arrays stay.
    pub fn remove(&mut self, path: &str) {
        let (parents, name) = match path.rsplit_once('.') {
            Some((parents, name)) => (parents, name),
            None => ("", path),
        };
        self.visit_mut(parents, &mut |value| {
            if let Self::Object(members) = value {
                if name == "*" {
                    members.clear();
                } else {
                    members.remove(name);
                }
            }
        });
    }
}

enum Step<'a> {
    Name(&'a str),
    Each,
    Any,
}

/// Takes the first step off a path; `None` at its end.
fn first_step(path: &str) -> Option<(Step<'_>, &str)> {
    if path.is_empty() {
        return None;
    }
    if let Some(rest) = path.strip_prefix("[]") {
        return Some((Step::Each, rest.strip_prefix('.').unwrap_or(rest)));
    }
    let end = path.find(['.', '[']).unwrap_or(path.len());
    let (name, rest) = path.split_at(end);
    let rest = rest.strip_prefix('.').unwrap_or(rest);
    Some((
        if name == "*" {
            Step::Any
        } else {
            Step::Name(name)
        },
        rest,
    ))
}

impl Parser<'_> {
    fn json(&mut self, depth: usize) -> Result<Json, CanonicalError> {
        match self.peek() {
            Some(b'{' | b'[') if depth >= DEPTH_MAX => Err(CanonicalError::TooDeep),
            Some(b'{') => {
                self.at += 1;
                let mut members = BTreeMap::new();
                self.json_items(b'}', |parser| {
                    if parser.peek() != Some(b'"') {
                        return Err(parser.wrong());
                    }
                    let key = parser.json_string()?;
                    parser.skip_space();
                    if parser.peek() != Some(b':') {
                        return Err(parser.wrong());
                    }
                    parser.at += 1;
                    parser.skip_space();
                    let value = parser.json(depth + 1)?;
                    match members.insert(key, value) {
                        None => Ok(()),
                        Some(_) => Err(CanonicalError::DuplicateKey { at: parser.at }),
                    }
                })?;
                Ok(Json::Object(members))
            }
            Some(b'[') => {
                self.at += 1;
                let mut items = Vec::new();
                self.json_items(b']', |parser| {
                    items.push(parser.json(depth + 1)?);
                    Ok(())
                })?;
                Ok(Json::Array(items))
            }
            Some(b'"') => Ok(Json::String(self.json_string()?)),
            Some(b't') => self.word(b"true").map(|()| Json::Bool(true)),
            Some(b'f') => self.word(b"false").map(|()| Json::Bool(false)),
            Some(b'n') => self.word(b"null").map(|()| Json::Null),
            _ => {
                let start = self.at;
                self.number()?;
                let text = self.bytes.get(start..self.at).unwrap_or_default();
                Ok(Json::Number(String::from_utf8_lossy(text).into_owned()))
            }
        }
    }

    fn json_string(&mut self) -> Result<String, CanonicalError> {
        let start = self.at;
        self.string(&mut Vec::new())?;
        let raw = self.bytes.get(start..self.at).unwrap_or_default();
        read_string(raw)
            .map(|(text, _)| text.into_owned())
            .ok_or(CanonicalError::Malformed { at: start })
    }

    /// Reads items up to `close`; the opening bracket has been read.
    fn json_items(
        &mut self,
        close: u8,
        mut item: impl FnMut(&mut Self) -> Result<(), CanonicalError>,
    ) -> Result<(), CanonicalError> {
        self.skip_space();
        if self.peek() == Some(close) {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.skip_space();
            item(self)?;
            self.skip_space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(byte) if byte == close => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err(self.wrong()),
            }
        }
    }
}
