//! What became of the objects of one type, in the order in which they were given: a few bytes for each.
//!
//! Objects mostly come parent by parent and in the order of their numbers. So the log is divided into groups: entries of one
//! parent with ascending keys. Within a group a key costs the difference to the one before it, together with what happened
//! in one or two bytes; content in the row after the last one's adds only its fingerprint. A new relation takes two bytes and a new
//! object some ten, where the plain structures took 8 and 28 and had to be sorted: half of what a first backup held in memory.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::chunk::Key;
use crate::codec::{Decoder, put_u64};

/// What happened to one object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) key: Key,
    pub(super) what: What,
    /// Whether the parent snapshot has a version of it.
    pub(super) had: bool,
    /// Where its content lies, if there is any.
    pub(super) content: Content,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// It has new content, in a chunk of this snapshot.
    Put,
    /// It has content again that the store has from before, in a chunk by its place in the writer's `earlier`.
    Back,
    /// It is a relation without a body.
    Related,
    /// It is as the parent snapshot has it.
    Same,
    /// It is gone.
    Gone,
}

/// Where content lies, and its fingerprint.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) chunk: u32,
    pub(super) ordinal: u16,
    pub(super) fingerprint: i64,
}

impl Entry {
    /// An entry without content.
    pub(super) fn of(key: Key, what: What, had: bool) -> Self {
        Self {
            key,
            what,
            had,
            content: Content::default(),
        }
    }
}

/// The entries of one type. The last one of an object counts.
#[derive(Debug, Default)]
pub(super) struct Log {
    bytes: Vec<u8>,
    groups: Vec<Group>,
    /// The entry that was added last, and the content of the last one in its group that had any.
    last: Option<Key>,
    content: Option<Content>,
    has_gone: bool,
}

/// Entries of one parent with ascending keys.
#[derive(Debug, Clone, Copy)]
struct Group {
    parent: u32,
    start: usize,
}

const PUT: u64 = 0;
const PUT_NEXT: u64 = 1;
const BACK: u64 = 2;
const RELATED: u64 = 3;
const SAME: u64 = 4;
const GONE: u64 = 5;

const WHAT: &str = "the writer's log";

impl Log {
    pub(super) fn push(&mut self, entry: Entry) {
        let key = entry.key;
        self.has_gone |= entry.what == What::Gone;
        let follows = |last: Key| last.parent == key.parent && last.key < key.key;
        let before = match self.last.filter(|last| follows(*last)) {
            Some(last) => last.key,
            None => {
                self.groups.push(Group {
                    parent: key.parent,
                    start: self.bytes.len(),
                });
                self.content = None;
                0
            }
        };
        self.last = Some(key);
        let is_next = self.content.is_some_and(|last| {
            last.chunk == entry.content.chunk
                && last.ordinal.checked_add(1) == Some(entry.content.ordinal)
        });
        let code = match entry.what {
            What::Put if is_next => PUT_NEXT,
            What::Put => PUT,
            What::Back => BACK,
            What::Related => RELATED,
            What::Same => SAME,
            What::Gone => GONE,
        };
        let difference = u64::from(key.key - before);
        put_u64(
            &mut self.bytes,
            difference << 4 | code << 1 | u64::from(entry.had),
        );
        if matches!(code, PUT | BACK) {
            put_u64(&mut self.bytes, u64::from(entry.content.chunk));
            put_u64(&mut self.bytes, u64::from(entry.content.ordinal));
        }
        if matches!(code, PUT | PUT_NEXT | BACK) {
            self.bytes
                .extend_from_slice(&entry.content.fingerprint.to_le_bytes());
        }
        if matches!(entry.what, What::Put | What::Back) {
            self.content = Some(entry.content);
        }
    }

    /// Whether anything was ever gone.
    pub(super) fn has_gone(&self) -> bool {
        self.has_gone
    }

    fn group(&self, place: usize) -> Cursor<'_> {
        let group = self.groups.get(place).copied();
        let end = self.groups.get(place + 1);
        let end = end.map_or(self.bytes.len(), |next| next.start);
        let bytes = group.and_then(|group| self.bytes.get(group.start..end));
        Cursor {
            from: Decoder::new(bytes.unwrap_or_default(), WHAT),
            key: Key {
                parent: group.map_or(0, |group| group.parent),
                key: 0,
            },
            content: Content::default(),
        }
    }

    /// All entries, in the order in which they were added.
    pub(super) fn iter(&self) -> impl Iterator<Item = Entry> {
        (0..self.groups.len()).flat_map(|place| self.group(place))
    }

    /// The entries under one parent, in the order in which they were added.
    pub(super) fn under(&self, parent: u32) -> impl Iterator<Item = Entry> {
        let groups = self.groups.iter().enumerate();
        let groups = groups.filter(move |(_, group)| group.parent == parent);
        groups.flat_map(|(place, _)| self.group(place))
    }

    /// The last entry of each object, in order of the keys.
    pub(super) fn last_words(&self) -> LastWords<'_> {
        let mut order: Vec<usize> = (0..self.groups.len()).collect();
        order.sort_by_key(|place| self.groups.get(*place).map(|group| group.parent));
        order.reverse();
        LastWords {
            log: self,
            order,
            alone: None,
            heap: BinaryHeap::new(),
            open: Vec::new(),
            told: None,
        }
    }
}

/// Reads the entries of one group.
#[derive(Debug)]
struct Cursor<'a> {
    from: Decoder<'a>,
    key: Key,
    content: Content,
}

impl Cursor<'_> {
    fn read(&mut self) -> Result<Entry, crate::codec::DecodeError> {
        let head = self.from.u64()?;
        let difference = u32::try_from(head >> 4).map_err(|_| self.from.broken())?;
        self.key.key = self.key.key.wrapping_add(difference);
        let code = head >> 1 & 7;
        if matches!(code, PUT | BACK) {
            self.content.chunk = self.from.u32()?;
            let ordinal = u16::try_from(self.from.u64()?);
            self.content.ordinal = ordinal.map_err(|_| self.from.broken())?;
        }
        if code == PUT_NEXT {
            self.content.ordinal = self.content.ordinal.wrapping_add(1);
        }
        let what = match code {
            PUT | PUT_NEXT => What::Put,
            BACK => What::Back,
            RELATED => What::Related,
            SAME => What::Same,
            _ => What::Gone,
        };
        let mut entry = Entry::of(self.key, what, head & 1 == 1);
        if matches!(code, PUT | PUT_NEXT | BACK) {
            entry.content = Content {
                fingerprint: i64::from_le_bytes(self.from.array()?),
                ..self.content
            };
        }
        Ok(entry)
    }
}

impl Iterator for Cursor<'_> {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        if self.from.rest().is_empty() {
            return None;
        }
        self.read().ok()
    }
}

/// Merges the groups of one parent after another.
#[derive(Debug)]
pub(super) struct LastWords<'a> {
    log: &'a Log,
    /// The groups that are still to come, those of the lowest parent last, and of one parent the first last.
    order: Vec<usize>,
    /// The only group of its parent, as most are: its entries come as they stand.
    alone: Option<Cursor<'a>>,
    /// The next key of each open group: the lowest first, of equal ones that of the latest group.
    heap: BinaryHeap<(Reverse<u32>, usize)>,
    open: Vec<(Cursor<'a>, Entry)>,
    told: Option<Key>,
}

impl LastWords<'_> {
    /// Opens the groups of the next parent; whether there was one.
    fn open_next(&mut self) -> bool {
        self.open.clear();
        let parent = |place: &usize| self.log.groups.get(*place).map(|group| group.parent);
        let Some(next) = self.order.last().and_then(parent) else {
            return false;
        };
        while let Some(place) = self.order.last().copied() {
            if parent(&place) != Some(next) {
                break;
            }
            self.order.pop();
            let mut cursor = self.log.group(place);
            let is_last = self.order.last().and_then(parent) != Some(next);
            if is_last && self.open.is_empty() {
                self.alone = Some(cursor);
                return true;
            }
            if let Some(first) = cursor.next() {
                self.heap.push((Reverse(first.key.key), self.open.len()));
                self.open.push((cursor, first));
            }
        }
        true
    }
}

impl Iterator for LastWords<'_> {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        loop {
            if let Some(cursor) = &mut self.alone {
                if let Some(entry) = cursor.next() {
                    return Some(entry);
                }
                self.alone = None;
            }
            let Some((_, at)) = self.heap.pop() else {
                if self.open_next() {
                    continue;
                }
                return None;
            };
            let (cursor, next) = self.open.get_mut(at)?;
            let entry = *next;
            if let Some(after) = cursor.next() {
                *next = after;
                self.heap.push((Reverse(after.key.key), at));
            }
            if self.told != Some(entry.key) {
                self.told = Some(entry.key);
                return Some(entry);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn entry() -> impl Strategy<Value = Entry> {
        let what = prop_oneof![
            Just(What::Put),
            Just(What::Put),
            Just(What::Back),
            Just(What::Related),
            Just(What::Same),
            Just(What::Gone),
        ];
        let key = (0u32..4, prop_oneof![0u32..12, any::<u32>()]);
        let content = (0u32..3, 0u16..6, any::<i64>());
        (key, what, any::<bool>(), content).prop_map(|((parent, key), what, had, content)| {
            let mut entry = Entry::of(Key { parent, key }, what, had);
            if matches!(what, What::Put | What::Back) {
                let (chunk, ordinal, fingerprint) = content;
                entry.content = Content {
                    chunk,
                    ordinal,
                    fingerprint,
                };
            }
            entry
        })
    }

    proptest! {
        #[test]
        fn what_is_added_comes_back_and_the_last_word_counts(
            entries in proptest::collection::vec(entry(), 0..60),
            in_order in any::<bool>(),
        ) {
            let mut entries = entries;
            if in_order {
                entries.sort_by_key(|entry| entry.key);
            }
            let mut log = Log::default();
            entries.iter().for_each(|entry| log.push(*entry));
            prop_assert_eq!(log.iter().collect::<Vec<_>>(), entries.clone());
            let under: Vec<Entry> = entries.iter().filter(|entry| entry.key.parent == 2).copied().collect();
            prop_assert_eq!(log.under(2).collect::<Vec<_>>(), under);
            let last: BTreeMap<Key, Entry> = entries.iter().map(|entry| (entry.key, *entry)).collect();
            prop_assert_eq!(log.last_words().collect::<Vec<_>>(), last.into_values().collect::<Vec<_>>());
        }
    }
}
