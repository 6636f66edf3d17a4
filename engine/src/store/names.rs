//! The ids of a domain by their numbers, and back.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher, RandomState};

use crate::chunk::Names;

/// The ids of a domain, numbered from 1. About 50 bytes an id.
#[derive(Debug, Default)]
pub(super) struct NameMap {
    text: String,
    ends: Vec<usize>,
    by_hash: HashMap<u64, u32>,
    clashes: HashMap<Box<str>, u32>,
    hasher: RandomState,
}

impl NameMap {
    /// The number that the next id will get.
    pub(super) fn next(&self) -> u32 {
        u32::try_from(self.ends.len()).unwrap_or(u32::MAX - 1) + 1
    }

    /// Takes an id under its number, which is at least [`next`](Self::next); numbers left out stay unknown.
    pub(super) fn push(&mut self, number: u32, name: &str) {
        while self.next() < number {
            self.ends.push(self.text.len());
        }
        if self.next() != number {
            return;
        }
        self.text.push_str(name);
        self.ends.push(self.text.len());
        let hash = self.hasher.hash_one(name);
        match self.by_hash.entry(hash) {
            Entry::Vacant(free) => {
                free.insert(number);
            }
            Entry::Occupied(_) => {
                self.clashes.insert(name.into(), number);
            }
        }
    }

    /// The number of an id.
    pub(super) fn number(&self, name: &str) -> Option<u32> {
        let number = *self.by_hash.get(&self.hasher.hash_one(name))?;
        if self.name(number) == Some(name) {
            Some(number)
        } else {
            self.clashes.get(name).copied()
        }
    }
}

impl Names for NameMap {
    fn name(&self, number: u32) -> Option<&str> {
        let place = usize::try_from(number).ok()?.checked_sub(1)?;
        let start = match place.checked_sub(1) {
            Some(before) => *self.ends.get(before)?,
            None => 0,
        };
        self.text
            .get(start..*self.ends.get(place)?)
            .filter(|name| !name.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_numbers_find_each_other() {
        let mut names = NameMap::default();
        names.push(1, "a");
        names.push(2, "bc");
        names.push(5, "d");
        assert_eq!(names.next(), 6);
        for (number, name) in [(1, "a"), (2, "bc"), (5, "d")] {
            assert_eq!(names.name(number), Some(name));
            assert_eq!(names.number(name), Some(number));
        }
        for unknown in [0, 3, 4, 6] {
            assert_eq!(names.name(unknown), None);
        }
        assert_eq!(names.number("b"), None);
    }
}
