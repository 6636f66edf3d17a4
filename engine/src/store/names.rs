//! The ids of a domain by their numbers, and back.

use std::hash::{BuildHasher, RandomState};

use crate::chunk::Names;

/// Texts by their places, and back: all in one text, found by a table of open addressing.
///
/// About 40 bytes for an id of 20: with a map of boxed texts and their copies it was 180.
#[derive(Debug, Default)]
pub(super) struct Interned {
    text: String,
    ends: Vec<u32>,
    /// A free slot is 0; else the upper half is of the text's hash, the lower its place plus one. A power of two of slots.
    slots: Vec<u64>,
    taken: usize,
    hasher: RandomState,
}

impl Interned {
    /// How many places there are.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether a text still fits.
    pub(super) fn has_room(&self, text: &str) -> bool {
        u32::try_from(self.text.len() + text.len()).is_ok()
    }

    /// Adds a text at the next place. An empty one is never found.
    pub(super) fn push(&mut self, text: &str) {
        let place = self.ends.len();
        self.text.push_str(text);
        self.ends
            .push(u32::try_from(self.text.len()).unwrap_or(u32::MAX));
        if text.is_empty() {
            return;
        }
        if (self.taken + 1) * 4 > self.slots.len() * 3 {
            self.grow();
        }
        self.take_slot(self.hasher.hash_one(text), place);
    }

    fn grow(&mut self) {
        self.slots = vec![0; (self.slots.len() * 2).max(64)];
        self.taken = 0;
        for place in 0..self.ends.len() {
            if let Some(hash) = self.get(place).map(|text| self.hasher.hash_one(text)) {
                self.take_slot(hash, place);
            }
        }
    }

    fn take_slot(&mut self, hash: u64, place: usize) {
        let (mut at, mask) = self.first_slot(hash);
        while self.slots.get(at).is_some_and(|slot| *slot != 0) {
            at = (at + 1) & mask;
        }
        if let Some(slot) = self.slots.get_mut(at) {
            *slot = hash & UPPER | (place as u64 + 1);
            self.taken += 1;
        }
    }

    /// The slot that is looked at first, and what keeps places within the table.
    fn first_slot(&self, hash: u64) -> (usize, usize) {
        let mask = self.slots.len().wrapping_sub(1);
        let [a, b, c, d, ..] = hash.to_le_bytes();
        let low = usize::try_from(u32::from_le_bytes([a, b, c, d])).unwrap_or_default();
        (low & mask, mask)
    }

    /// The place of a text.
    pub(super) fn find(&self, text: &str) -> Option<usize> {
        if self.slots.is_empty() {
            return None;
        }
        self.find_hashed(text, self.hasher.hash_one(text))
    }

    /// Calls `see` with the place of each text that there is, and where it stands in `texts`.
    ///
    /// In a large table each look at a slot, an end and a text waits for memory. So some texts are looked up together: their slots
    /// are read first, then the ends, and the processor waits for all of them at once.
    pub(super) fn find_all(&self, texts: &[&str], mut see: impl FnMut(usize, usize)) {
        if self.slots.is_empty() {
            return;
        }
        for (group, texts) in texts.chunks(TOGETHER).enumerate() {
            let mut hashes = [0; TOGETHER];
            let mut touched = [0u64; TOGETHER];
            for (text, hash) in texts.iter().zip(&mut hashes) {
                *hash = self.hasher.hash_one(text);
            }
            for (hash, slot) in hashes.iter().zip(&mut touched) {
                let (at, _) = self.first_slot(*hash);
                *slot = self.slots.get(at).copied().unwrap_or_default();
            }
            for slot in &mut touched {
                let place = usize::try_from(*slot & !UPPER).unwrap_or_default();
                let end = self.ends.get(place.wrapping_sub(1));
                *slot = end.copied().map_or(0, u64::from);
            }
            for end in &mut touched {
                let last = usize::try_from(*end).unwrap_or_default().wrapping_sub(1);
                *end = self.text.as_bytes().get(last).copied().map_or(0, u64::from);
            }
            std::hint::black_box(touched);
            for (at, (text, hash)) in texts.iter().zip(hashes).enumerate() {
                if let Some(place) = self.find_hashed(text, hash) {
                    see(group * TOGETHER + at, place);
                }
            }
        }
    }

    fn find_hashed(&self, text: &str, hash: u64) -> Option<usize> {
        let (mut at, mask) = self.first_slot(hash);
        loop {
            let slot = *self.slots.get(at)?;
            if slot == 0 {
                return None;
            }
            if slot & UPPER == hash & UPPER {
                let place = usize::try_from(slot & !UPPER).ok()?.checked_sub(1)?;
                if self.get(place) == Some(text) {
                    return Some(place);
                }
            }
            at = (at + 1) & mask;
        }
    }

    /// The text at a place; `None` where it is empty.
    pub(super) fn get(&self, place: usize) -> Option<&str> {
        let start = match place.checked_sub(1) {
            Some(before) => *self.ends.get(before)?,
            None => 0,
        };
        let end = *self.ends.get(place)?;
        self.text
            .get(usize::try_from(start).ok()?..usize::try_from(end).ok()?)
            .filter(|text| !text.is_empty())
    }

    /// All texts in the order of their places.
    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).map(|place| self.get(place).unwrap_or_default())
    }
}

const UPPER: u64 = 0xffff_ffff_0000_0000;

/// How many texts are looked up together.
const TOGETHER: usize = 16;

/// The ids of a domain, numbered from 1.
#[derive(Debug, Default)]
pub(super) struct NameMap {
    names: Interned,
}

impl NameMap {
    /// The number that the next id will get.
    pub(super) fn next(&self) -> u32 {
        u32::try_from(self.names.len()).unwrap_or(u32::MAX - 1) + 1
    }

    /// Takes an id under its number, which is at least [`next`](Self::next); numbers left out stay unknown.
    pub(super) fn push(&mut self, number: u32, name: &str) {
        while self.next() < number {
            self.names.push("");
        }
        if self.next() == number {
            self.names.push(name);
        }
    }

    /// Takes ids under their numbers, the first of which is `first`. Where there were none before, they are not copied.
    pub(super) fn append(&mut self, first: u32, names: Interned) {
        if self.names.len() == 0 && first == 1 {
            self.names = names;
            return;
        }
        for (number, name) in (first..).zip(names.iter()) {
            if number >= self.next() {
                self.push(number, name);
            }
        }
    }

    /// The numbers of some ids.
    pub(super) fn numbers(&self, names: &[&str]) -> Vec<Option<u32>> {
        let mut numbers = vec![None; names.len()];
        self.names.find_all(names, |at, place| {
            if let Some(number) = numbers.get_mut(at) {
                *number = u32::try_from(place)
                    .ok()
                    .and_then(|place| place.checked_add(1));
            }
        });
        numbers
    }

    /// The number of an id.
    pub(super) fn number(&self, name: &str) -> Option<u32> {
        u32::try_from(self.names.find(name)?).ok()?.checked_add(1)
    }
}

impl Names for NameMap {
    fn name(&self, number: u32) -> Option<&str> {
        self.names
            .get(usize::try_from(number).ok()?.checked_sub(1)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_numbers_find_each_other() {
        let mut names = NameMap::default();
        assert_eq!(names.number("a"), None);
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
        assert_eq!(names.number(""), None);
    }

    #[test]
    fn ids_are_taken_up_together_as_they_are_one_by_one() {
        let some = |texts: [&str; 2]| {
            let mut interned = Interned::default();
            texts.iter().for_each(|text| interned.push(text));
            interned
        };
        let mut names = NameMap::default();
        names.append(1, some(["a", "bc"]));
        names.append(2, some(["known", "d"]));
        names.append(5, some(["e", "f"]));
        assert_eq!(names.next(), 7);
        for (number, name) in [(1, "a"), (2, "bc"), (3, "d"), (5, "e"), (6, "f")] {
            assert_eq!(names.name(number), Some(name));
            assert_eq!(names.number(name), Some(number));
        }
        assert_eq!(names.name(4), None);
        assert_eq!(names.number("known"), None);
    }

    #[test]
    fn many_are_found() {
        let mut names = Interned::default();
        for number in 0..5_000 {
            names.push(&format!("id {number}"));
        }
        for number in 0..5_000 {
            let text = format!("id {number}");
            assert_eq!(names.find(&text), Some(number));
            assert_eq!(names.get(number), Some(text.as_str()));
            assert_eq!(names.find(&format!("no {number}")), None);
        }
        let texts: Vec<String> = (0..70)
            .map(|number| format!("{} {}", ["id", "no"][number % 2], number * 80))
            .collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let mut found = Vec::new();
        names.find_all(&texts, |at, place| found.push((at, place)));
        let wanted: Vec<(usize, usize)> = (0..70)
            .step_by(2)
            .map(|number| (number, number * 80))
            .filter(|(_, place)| *place < 5_000)
            .collect();
        assert_eq!(found, wanted);
        Interned::default().find_all(&texts, |_, _| unreachable!());
        assert_eq!(names.iter().nth(77), Some("id 77"));
    }
}
