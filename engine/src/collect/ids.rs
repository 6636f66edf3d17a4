//! Sets of ids, small enough to hold those of a large org.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};

/// The length of the ids that Okta gives.
const OKTA_ID_BYTES: usize = 20;

type OktaId = [u8; OKTA_ID_BYTES];

/// What stands where an id was removed. An id of zeros alone is kept with those of other lengths.
const REMOVED: OktaId = [0; OKTA_ID_BYTES];

/// A set of ids: some 30 bytes each, where a tree of such ids takes 50 and a set of strings 85.
#[derive(Debug, Clone, Default)]
pub(super) struct IdSet {
    /// Those as long as Okta's own, in the order in which they came.
    ids: Vec<OktaId>,
    /// Their places plus one, found by their hashes; 0 is free. A power of two of slots, at most half of them taken.
    slots: Vec<u32>,
    hasher: RandomState,
    others: BTreeSet<Box<str>>,
}

fn okta_id(text: &str) -> Option<OktaId> {
    let id = text.as_bytes().try_into().ok();
    id.filter(|id| *id != REMOVED)
}

impl IdSet {
    /// The place of an id, or the slot where it would stand.
    fn find(&self, id: &OktaId) -> Result<usize, usize> {
        let mask = self.slots.len().wrapping_sub(1);
        let [a, b, c, d, ..] = self.hasher.hash_one(id).to_le_bytes();
        let mut at = usize::try_from(u32::from_le_bytes([a, b, c, d])).unwrap_or_default() & mask;
        loop {
            let slot = self.slots.get(at).copied().unwrap_or_default();
            let place = usize::try_from(slot).unwrap_or_default().checked_sub(1);
            match place {
                None => return Err(at),
                Some(place) if self.ids.get(place) == Some(id) => return Ok(place),
                Some(_) => at = (at + 1) & mask,
            }
        }
    }

    fn grow(&mut self) {
        self.slots = vec![0; (self.slots.len() * 2).max(64)];
        for place in 0..self.ids.len() {
            if let Some(Err(at)) = self.ids.get(place).map(|id| self.find(id)) {
                self.take_slot(at, place);
            }
        }
    }

    fn take_slot(&mut self, at: usize, place: usize) {
        if let Some(slot) = self.slots.get_mut(at) {
            *slot = u32::try_from(place + 1).unwrap_or(u32::MAX);
        }
    }

    /// Adds an id; `false` if it is there already.
    pub(super) fn insert(&mut self, id: &str) -> bool {
        let Some(id) = okta_id(id) else {
            return self.others.insert(id.into());
        };
        if (self.ids.len() + 1) * 2 > self.slots.len() {
            self.grow();
        }
        let found = self.find(&id);
        if let Err(at) = found {
            self.take_slot(at, self.ids.len());
            self.ids.push(id);
        }
        found.is_err()
    }

    pub(super) fn remove(&mut self, id: &str) {
        let Some(okta) = okta_id(id) else {
            self.others.remove(id);
            return;
        };
        if let Ok(place) = self.find(&okta)
            && let Some(id) = self.ids.get_mut(place)
        {
            *id = REMOVED;
        }
    }

    fn contains(&self, id: &str) -> bool {
        match okta_id(id) {
            Some(id) => self.find(&id).is_ok(),
            None => self.others.contains(id),
        }
    }

    fn iter(&self) -> impl Iterator<Item = &str> {
        let ids = self.ids.iter().filter(|id| **id != REMOVED);
        // The bytes are those of texts.
        let ids = ids.map(|id| std::str::from_utf8(id).unwrap_or_default());
        ids.chain(self.others.iter().map(|id| &**id))
    }

    /// Adds the ids of another set.
    pub(super) fn extend(&mut self, more: &Self) {
        for id in more.iter() {
            self.insert(id);
        }
    }

    /// The ids that another set does not have, in order.
    pub(super) fn missing_in(&self, other: &Self) -> Vec<String> {
        let missing = self.iter().filter(|id| !other.contains(id));
        let mut missing: Vec<String> = missing.map(str::to_owned).collect();
        missing.sort_unstable();
        missing
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ids_of_every_length_are_kept() {
        let mut ids = IdSet::default();
        let long = "00u1234567890abcdefg";
        for id in [long, "", "a", "00u1234567890abcdef\u{e9}"] {
            assert!(ids.insert(id));
            assert!(!ids.insert(id));
        }
        let mut fewer = ids.clone();
        fewer.remove(long);
        fewer.remove("a");
        assert_eq!(ids.missing_in(&fewer), [long, "a"]);
        fewer.extend(&ids);
        assert!(ids.missing_in(&fewer).is_empty());
    }

    proptest! {
        #[test]
        fn it_holds_what_a_tree_holds(steps in proptest::collection::vec((any::<bool>(), 0u32..300), 0..600)) {
            let (mut ids, mut wanted) = (IdSet::default(), BTreeSet::new());
            for (is_added, number) in steps {
                let id = match number {
                    0 => "\0".repeat(OKTA_ID_BYTES),
                    number if number % 7 == 0 => format!("other {number}"),
                    number => format!("00u{number:017}"),
                };
                if is_added {
                    prop_assert_eq!(ids.insert(&id), wanted.insert(id));
                } else {
                    ids.remove(&id);
                    wanted.remove(&id);
                }
            }
            prop_assert_eq!(ids.missing_in(&IdSet::default()), wanted.into_iter().collect::<Vec<_>>());
        }
    }
}
