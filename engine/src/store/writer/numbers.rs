//! Sets of the numbers of ids.

use std::collections::BTreeMap;

/// How many numbers lie together: as many as in a bucket of observations.
const GROUP_BITS: u32 = 12;

const WORDS: usize = (1 << GROUP_BITS) / 64;

/// A set of numbers, most of which follow each other: a bit each, where a hash set of 1,000,000 takes 10 MB.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    groups: BTreeMap<u32, Box<[u64; WORDS]>>,
}

/// The group of a number, the word in it, and the bit in that.
fn place(number: u32) -> (u32, usize, u64) {
    let within = number & ((1 << GROUP_BITS) - 1);
    let word = usize::try_from(within / 64).unwrap_or_default();
    (number >> GROUP_BITS, word, 1 << (within % 64))
}

impl Numbers {
    /// Adds a number; `false` if it is there already.
    pub(super) fn insert(&mut self, number: u32) -> bool {
        let (group, word, bit) = place(number);
        let words = self
            .groups
            .entry(group)
            .or_insert_with(|| Box::new([0; WORDS]));
        let Some(word) = words.get_mut(word) else {
            return false;
        };
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }

    /// Whether a number is there.
    pub(super) fn contains(&self, number: u32) -> bool {
        let (group, word, bit) = place(number);
        let words = self.groups.get(&group);
        let word = words.and_then(|words| words.get(word));
        word.is_some_and(|word| word & bit != 0)
    }

    /// A number beside each one that is there: the first of its bucket of observations.
    pub(super) fn firsts(&self) -> impl Iterator<Item = u32> {
        self.groups.keys().map(|group| group << GROUP_BITS)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_added_is_there(numbers in proptest::collection::vec(prop_oneof![0u32..200, 4000u32..4200, any::<u32>()], 0..60)) {
            let (mut set, mut wanted) = (Numbers::default(), BTreeSet::new());
            for &number in &numbers {
                prop_assert_eq!(set.insert(number), wanted.insert(number));
            }
            for near in numbers.iter().flat_map(|number| number.saturating_sub(1)..=number.saturating_add(1)) {
                prop_assert_eq!(set.contains(near), wanted.contains(&near));
            }
            let firsts: BTreeSet<u32> = wanted.iter().map(|number| number >> 12 << 12).collect();
            prop_assert_eq!(set.firsts().collect::<BTreeSet<_>>(), firsts);
        }
    }
}
