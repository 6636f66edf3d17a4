//! The catalogue's paths of a type, as a tree that is walked along with the parser.

use std::collections::HashMap;
use std::sync::OnceLock;

use crate::catalogue::{self, ObjectType};

/// What the catalogue says about one place in an object, and about the places below it.
#[derive(Debug, Default)]
pub(super) struct Rules {
    named: Vec<(&'static str, Rules)>,
    any: Option<Box<Rules>>,
    /// The elements of the array that stands here.
    pub(super) each: Option<Box<Rules>>,
    /// What stands here moves by itself.
    pub(super) observed: bool,
    /// Only what has a rule of its own is kept below (links).
    pub(super) only: bool,
}

/// What becomes of one member.
#[derive(Debug)]
pub(super) enum Member<'a> {
    Drop,
    Plain,
    Ruled(&'a Rules),
}

impl Rules {
    pub(super) fn member(&self, key: &[u8]) -> Member<'_> {
        let inner = self
            .named
            .iter()
            .find(|(name, _)| name.as_bytes() == key)
            .map(|(_, rules)| rules)
            .or(self.any.as_deref());
        match inner {
            Some(rules) => Member::Ruled(rules),
            None if self.only || is_hypertext(key) => Member::Drop,
            None => Member::Plain,
        }
    }

    /// Calls `mark` with the place at `path` below this one, which is made when it is not there.
    pub(super) fn mark(&mut self, path: &'static str, in_links: bool, mark: fn(&mut Rules)) {
        self.only |= in_links;
        if let Some(rest) = path.strip_prefix("[]") {
            return self.each.get_or_insert_default().mark(rest, in_links, mark);
        }
        let path = path.strip_prefix('.').unwrap_or(path);
        if path.is_empty() {
            self.only = false;
            return mark(self);
        }
        let (name, rest) = path.split_at(path.find(['.', '[']).unwrap_or(path.len()));
        let in_links = in_links || is_hypertext(name.as_bytes());
        if name == "*" {
            return self.any.get_or_insert_default().mark(rest, in_links, mark);
        }
        if let Some((_, inner)) = self.named.iter_mut().find(|(known, _)| *known == name) {
            return inner.mark(rest, in_links, mark);
        }
        let mut inner = Rules::default();
        inner.mark(rest, in_links, mark);
        self.named.push((name, inner));
    }
}

/// The rules of a place about which the catalogue says nothing: links are left out, the rest is kept.
pub(super) fn plain() -> &'static Rules {
    static PLAIN: Rules = Rules {
        named: Vec::new(),
        any: None,
        each: None,
        observed: false,
        only: false,
    };
    &PLAIN
}

fn is_hypertext(key: &[u8]) -> bool {
    matches!(key, b"_links" | b"_link" | b"_embedded")
}

/// The rules of a type.
pub(super) fn of(object_type: ObjectType) -> &'static Rules {
    static RULES: OnceLock<HashMap<u16, Rules>> = OnceLock::new();
    let rules = RULES.get_or_init(|| {
        catalogue::all()
            .map(|known| (known.code(), build(known)))
            .collect()
    });
    rules.get(&object_type.code()).unwrap_or_else(|| plain())
}

fn build(object_type: ObjectType) -> Rules {
    let entry = object_type.entry();
    let mut rules = Rules::default();
    for path in entry.observed {
        rules.mark(path, false, |place| place.observed = true);
    }
    for reference in entry.references {
        if reference
            .path
            .split('.')
            .any(|part| is_hypertext(part.trim_end_matches("[]").as_bytes()))
        {
            rules.mark(reference.path, false, |_| {});
        }
    }
    rules
}
