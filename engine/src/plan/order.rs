//! The order of a plan's actions, and what carrying them out costs.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use crate::canonical::Json;
use crate::catalogue::Entry;

use super::path::at;
use super::planner::Draft;
use super::{Action, ActionKind, Now, ObjectName, Operation};

/// Where a draft stands among those that need nothing of each other: phase, priority, name.
pub(crate) type Order = (u32, i64, String);

/// Users are activated after everything else: their groups, assignments and policies are there first.
pub(crate) const USER_STATE: u32 = 10_000;

/// Where a creation (or a relation) stands: by the catalogue, then by priority.
pub(crate) fn create(entry: &Entry, json: &Json) -> Order {
    let name = super::values::name_in(entry, json).unwrap_or_default();
    (u32::from(entry.restore_order) * 10, priority(json), name)
}

/// Right after the creations of the type.
pub(crate) fn after(entry: &Entry) -> u32 {
    u32::from(entry.restore_order) * 10 + 5
}

/// Where an app that was inactive is deactivated again: once everything is assigned to it.
pub(crate) const APP_AT_REST: u32 = 9_000;

/// The priority of a policy, rule or assignment: written top-down.
pub(crate) fn priority(json: &Json) -> i64 {
    match at(json, "priority") {
        Some(Json::Number(text)) => text.parse().unwrap_or(i64::MAX),
        _ => 0,
    }
}

/// Numbers the drafts so that each comes after what it needs. Gives those that need each other apart.
pub(crate) fn number(drafts: Vec<Draft>) -> (Vec<Action>, Vec<(ObjectName, Option<String>)>) {
    let makers: BTreeMap<ObjectName, usize> = drafts
        .iter()
        .enumerate()
        .filter(|(_, draft)| draft.makes)
        .map(|(place, draft)| (draft.object.clone(), place))
        .collect();
    let mut needs: Vec<BTreeSet<usize>> = drafts
        .iter()
        .enumerate()
        .map(|(place, draft)| {
            let wanted = draft
                .needs
                .iter()
                .filter_map(|name| makers.get(name).copied());
            wanted.filter(|need| *need != place).collect()
        })
        .collect();
    add_order_within_objects(&drafts, &mut needs);
    let mut users: Vec<Vec<usize>> = vec![Vec::new(); drafts.len()];
    for (place, wanted) in needs.iter().enumerate() {
        for need in wanted {
            if let Some(users) = users.get_mut(*need) {
                users.push(place);
            }
        }
    }
    let mut open: Vec<usize> = needs.iter().map(BTreeSet::len).collect();
    let mut ready: BinaryHeap<Reverse<(&Order, usize)>> = drafts
        .iter()
        .enumerate()
        .zip(&open)
        .filter(|(_, open)| **open == 0)
        .map(|((place, draft), _)| Reverse((&draft.order, place)))
        .collect();
    let mut sequence = Vec::with_capacity(drafts.len());
    while let Some(Reverse((_, place))) = ready.pop() {
        sequence.push(place);
        for user in users.get(place).into_iter().flatten() {
            if let (Some(left), Some(draft)) = (open.get_mut(*user), drafts.get(*user)) {
                *left -= 1;
                if *left == 0 {
                    ready.push(Reverse((&draft.order, *user)));
                }
            }
        }
    }
    assemble(drafts, &sequence, &needs, &makers)
}

/// Several drafts for one object: each after the one before it.
fn add_order_within_objects(drafts: &[Draft], needs: &mut [BTreeSet<usize>]) {
    let mut by_object: BTreeMap<&ObjectName, Vec<usize>> = BTreeMap::new();
    for (place, draft) in drafts.iter().enumerate() {
        by_object.entry(&draft.object).or_default().push(place);
    }
    for places in by_object.values_mut() {
        places.sort_by_key(|place| drafts.get(*place).map(|draft| (!draft.makes, &draft.order)));
        for pair in places.windows(2) {
            if let [earlier, later] = pair
                && let Some(needs) = needs.get_mut(*later)
            {
                needs.insert(*earlier);
            }
        }
    }
}

fn assemble(
    drafts: Vec<Draft>,
    sequence: &[usize],
    needs: &[BTreeSet<usize>],
    makers: &BTreeMap<ObjectName, usize>,
) -> (Vec<Action>, Vec<(ObjectName, Option<String>)>) {
    let numbers: BTreeMap<usize, u32> = sequence.iter().copied().zip(1u32..).collect();
    let number_of = |name: &ObjectName| {
        makers
            .get(name)
            .and_then(|place| numbers.get(place))
            .copied()
    };
    let mut placed: BTreeMap<u32, Action> = BTreeMap::new();
    let mut circles = Vec::new();
    for (place, draft) in drafts.into_iter().enumerate() {
        let Some(seq) = numbers.get(&place).copied() else {
            circles.push((draft.object, draft.name));
            continue;
        };
        let mut work = draft.work;
        for reference in &mut work.references {
            if let Now::Made(made) = &mut reference.now
                && let Some(number) =
                    number_of(&ObjectName::new(reference.object_type, &reference.id))
            {
                *made = number;
            }
        }
        let depends_on = needs
            .get(place)
            .into_iter()
            .flatten()
            .filter_map(|need| numbers.get(need))
            .copied()
            .collect();
        placed.insert(
            seq,
            Action {
                seq,
                action: draft.kind,
                object_type: draft.object.object_type,
                id: draft.object.id,
                name: draft.name,
                changes: draft
                    .changes
                    .iter()
                    .map(super::values::Difference::change)
                    .collect(),
                reason: draft.reason,
                depends_on,
                work,
            },
        );
    }
    (placed.into_values().collect(), circles)
}

/// About how many requests the actions take: the look before each write, the writes, the look after.
pub(crate) fn requests(actions: &[Action]) -> u64 {
    let one = |action: &Action| match &action.work.operation {
        Operation::Create => 2,
        Operation::Update { activate } => 3 + 2 * u64::from(*activate),
        Operation::Recreate { .. } => 7,
        Operation::Adopt => 3,
        Operation::Relate => {
            if action.action == ActionKind::Relate && action.object_type.entry().bare_relation {
                1
            } else {
                2
            }
        }
        Operation::Link { .. }
        | Operation::Activate
        | Operation::DeactivateCreated
        | Operation::Suspend
        | Operation::Unsuspend => 2,
    };
    actions.iter().map(one).sum()
}
