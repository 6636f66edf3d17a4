//! The priorities of policies and rules, as pure functions.
//!
//! Classic types start at 1 and have no gaps; whatever comes or goes shifts the rest, and the system's own stands
//! last. The newer types start at 0 and keep their gaps; their catch-all stands at 99.

/// The priority of the newer types' catch-all rule.
pub(crate) const CATCH_ALL: u64 = 99;

/// One policy or rule among its siblings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) id: String,
    pub(crate) system: bool,
    pub(crate) priority: u64,
}

/// Numbers `siblings` from 1 without gaps, `moved` at the place it wants (the last one if it wants none).
pub(crate) fn gapless(mut siblings: Vec<Place>, moved: Option<(&str, Option<u64>)>) -> Vec<Place> {
    siblings.sort_by_key(|place| (place.system, place.priority));
    if let Some((id, wanted)) = moved
        && let Some(from) = siblings
            .iter()
            .position(|place| place.id == id && !place.system)
    {
        let place = siblings.remove(from);
        let own = siblings.iter().filter(|place| !place.system).count();
        let to = wanted.map_or(own, |wanted| {
            usize::try_from(wanted.saturating_sub(1))
                .unwrap_or(usize::MAX)
                .min(own)
        });
        siblings.insert(to, place);
    }
    for (place, priority) in siblings.iter_mut().zip(1..) {
        place.priority = priority;
    }
    siblings
}

/// Gives `moved` the priority it wants (one more than the greatest if it wants none); who had it and the unbroken
/// run behind step back by one. Nobody else moves.
pub(crate) fn gapped(mut siblings: Vec<Place>, moved: &str, wanted: Option<u64>) -> Vec<Place> {
    let others = |place: &&mut Place| !place.system && place.id != moved;
    let greatest = siblings
        .iter_mut()
        .filter(others)
        .map(|place| place.priority)
        .max();
    let wanted = wanted.unwrap_or_else(|| greatest.map_or(0, |greatest| greatest + 1));
    siblings.sort_by_key(|place| place.priority);
    let mut taken = wanted;
    for place in siblings.iter_mut().filter(others) {
        if place.priority == taken {
            place.priority += 1;
            taken = place.priority;
        }
    }
    for place in siblings.iter_mut().filter(|place| place.id == moved) {
        place.priority = wanted;
    }
    siblings
}

#[cfg(test)]
mod tests {
    use super::{Place, gapless, gapped};

    fn places(given: &[(&str, bool, u64)]) -> Vec<Place> {
        given
            .iter()
            .map(|&(id, system, priority)| Place {
                id: id.to_owned(),
                system,
                priority,
            })
            .collect()
    }

    fn numbers(mut given: Vec<Place>) -> Vec<(String, u64)> {
        given.sort_by(|a, b| a.id.cmp(&b.id));
        given
            .into_iter()
            .map(|place| (place.id, place.priority))
            .collect()
    }

    fn expect(given: &[(&str, u64)]) -> Vec<(String, u64)> {
        given
            .iter()
            .map(|&(id, priority)| (id.to_owned(), priority))
            .collect()
    }

    #[test]
    fn classic_priorities_shift_and_the_system_one_is_last() {
        let now = places(&[
            ("a", false, 1),
            ("b", false, 2),
            ("d", true, 3),
            ("new", false, 0),
        ]);
        let first = gapless(now.clone(), Some(("new", Some(1))));
        assert_eq!(
            numbers(first),
            expect(&[("a", 2), ("b", 3), ("d", 4), ("new", 1)])
        );
        let last = gapless(now.clone(), Some(("new", None)));
        assert_eq!(
            numbers(last),
            expect(&[("a", 1), ("b", 2), ("d", 4), ("new", 3)])
        );
        let beyond = gapless(now, Some(("new", Some(50))));
        assert_eq!(
            numbers(beyond),
            expect(&[("a", 1), ("b", 2), ("d", 4), ("new", 3)])
        );
        let gone = gapless(places(&[("b", false, 2), ("d", true, 3)]), None);
        assert_eq!(numbers(gone), expect(&[("b", 1), ("d", 2)]));
    }

    #[test]
    fn newer_priorities_keep_gaps_and_step_back_only_where_taken() {
        let now = places(&[
            ("a", false, 0),
            ("b", false, 1),
            ("c", false, 5),
            ("z", true, 99),
            ("new", false, 0),
        ]);
        let free = gapped(now.clone(), "new", Some(3));
        assert_eq!(
            numbers(free),
            expect(&[("a", 0), ("b", 1), ("c", 5), ("new", 3), ("z", 99)])
        );
        let taken = gapped(now.clone(), "new", Some(0));
        assert_eq!(
            numbers(taken),
            expect(&[("a", 1), ("b", 2), ("c", 5), ("new", 0), ("z", 99)])
        );
        let last = gapped(now, "new", None);
        assert_eq!(
            numbers(last),
            expect(&[("a", 0), ("b", 1), ("c", 5), ("new", 6), ("z", 99)])
        );
    }
}
