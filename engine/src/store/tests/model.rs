//! A slow, obvious model of what a snapshot is, and objects to try it with.

use super::*;

pub(super) const DOMAIN: DomainId = DomainId::from_bytes([0xd0, 1, 2, 3, 4, 5, 6, 7]);

pub(super) fn object_type(name: &str) -> ObjectType {
    name.parse().unwrap()
}

/// Whole (two of them parents of others), named, own ids under a parent, relation with a body, relation without.
pub(super) const TYPES: [&str; 7] = [
    "user",
    "linked_object_definition",
    "group",
    "authorization_server",
    "as_scope",
    "app_user",
    "group_member",
];

/// How many of [`TYPES`] have no parent; they come first.
pub(super) const WHOLE: usize = 4;

pub(super) fn own_id(number: u8) -> String {
    format!("00u{number:016}X")
}

pub(super) fn parent_id(number: u8) -> String {
    format!("00g{number:016}P")
}

/// An object as the tests make it: few ids, few contents.
pub(super) fn made(kind: usize, parent: u8, key: u8, content: u8) -> Canonical {
    let object_type = object_type(TYPES[kind]);
    let own = own_id(key);
    let (id, parent_text) = match TYPES[kind] {
        "user" => (own.clone(), None),
        "linked_object_definition" => (format!("secretName{key}"), None),
        "group" | "authorization_server" => (parent_id(key), None),
        "as_scope" => (format!("00s{key:013}{parent:03}S"), Some(parent_id(parent))),
        _ => (
            format!("{}/{own}", parent_id(parent)),
            Some(parent_id(parent)),
        ),
    };
    let body = if TYPES[kind] == "group_member" {
        Vec::new()
    } else {
        let name = id.rsplit('/').next().unwrap();
        format!(
            r#"{{"created":"2026-01-0{}T00:00:00.000Z","id":"{name}","last":null,"profile":{{"email":"secret.mail{content}@example.com","n":{content}}}}}"#,
            content % 9 + 1
        )
        .into_bytes()
    };
    let observed = if TYPES[kind] == "user" {
        format!(r#"{{"lastLogin":{content}}}"#).into_bytes()
    } else {
        Vec::new()
    };
    Canonical {
        object_type,
        id,
        parent: parent_text,
        body,
        observed,
    }
}

#[derive(Debug, Clone)]
pub(super) enum Op {
    Object {
        kind: usize,
        parent: u8,
        key: u8,
        content: u8,
    },
    Children {
        kind: usize,
        parent: u8,
        children: Vec<(u8, u8)>,
    },
    Gone {
        kind: usize,
        parent: u8,
        key: u8,
    },
    End {
        kind: usize,
        complete: bool,
    },
}

pub(super) fn op() -> impl Strategy<Value = Op> {
    let kind = 0usize..TYPES.len();
    prop_oneof![
        4 => (kind.clone(), 0u8..3, 0u8..5, 0u8..3).prop_map(|(kind, parent, key, content)| Op::Object { kind, parent, key, content }),
        4 => (WHOLE..TYPES.len(), 0u8..3, proptest::collection::vec((0u8..5, 0u8..3), 0..5))
            .prop_map(|(kind, parent, children)| Op::Children { kind, parent, children }),
        1 => (kind.clone(), 0u8..3, 0u8..5).prop_map(|(kind, parent, key)| Op::Gone { kind, parent, key }),
        2 => (kind, any::<bool>()).prop_map(|(kind, complete)| Op::End { kind, complete }),
    ]
}

pub(super) type Name = (ObjectType, String);
pub(super) type Content = (Option<String>, Vec<u8>);
pub(super) type State = BTreeMap<Name, Content>;

/// What a snapshot is by the words of [`Sink`], in the plainest way.
pub(super) fn model(before: &State, ops: &[Op]) -> State {
    let mut given: BTreeMap<Name, Option<Content>> = BTreeMap::new();
    for op in ops {
        match op {
            Op::Object {
                kind,
                parent,
                key,
                content,
            } => {
                let object = made(*kind, *parent, *key, *content);
                given.insert(
                    (object.object_type, object.id),
                    Some((object.parent, object.body)),
                );
            }
            Op::Children {
                kind,
                parent,
                children,
            } => {
                let of_type = object_type(TYPES[*kind]);
                let parent_text = Some(parent_id(*parent));
                let mut known: Vec<_> = before
                    .iter()
                    .map(|(name, (parent, _))| (name.clone(), parent.clone()))
                    .collect();
                known.extend(
                    given.iter().filter_map(|(name, found)| {
                        Some((name.clone(), found.as_ref()?.0.clone()))
                    }),
                );
                for (name, parent) in known {
                    if name.0 == of_type && parent == parent_text {
                        given.insert(name, None);
                    }
                }
                for (key, content) in children {
                    let object = made(*kind, *parent, *key, *content);
                    given.insert(
                        (object.object_type, object.id),
                        Some((object.parent, object.body)),
                    );
                }
            }
            Op::Gone { kind, parent, key } => {
                let object = made(*kind, *parent, *key, 0);
                given.insert((object.object_type, object.id), None);
            }
            Op::End {
                kind,
                complete: true,
            } => {
                for name in before
                    .keys()
                    .filter(|name| name.0 == object_type(TYPES[*kind]))
                {
                    given.entry(name.clone()).or_insert(None);
                }
            }
            Op::End {
                complete: false, ..
            } => {}
        }
    }
    let mut after = before.clone();
    for (name, found) in &given {
        match found {
            Some(found) => after.insert(name.clone(), found.clone()),
            None => after.remove(name),
        };
    }
    // What lives under what is gone is gone too, where it was read completely.
    for (parent, child) in [
        ("group", "group_member"),
        ("authorization_server", "as_scope"),
    ] {
        let last_end = ops.iter().rev().find_map(|op| match op {
            Op::End { kind, complete } if TYPES[*kind] == child => Some(*complete),
            _ => None,
        });
        if last_end == Some(true) {
            let gone = |id: &Option<String>| {
                let name = id.clone().map(|id| (object_type(parent), id));
                name.is_some_and(|name| matches!(given.get(&name), Some(None)))
            };
            after.retain(|name, (under, _)| name.0 != object_type(child) || !gone(under));
        }
    }
    after
}

/// Whether everything that can be read of the snapshots is as the model says.
pub(super) fn agrees(
    store: &Store,
    domain: &DomainStore,
    known: &[(SnapshotId, State)],
    history: bool,
) {
    let listed: Vec<SnapshotId> = store
        .snapshots(DOMAIN)
        .unwrap()
        .iter()
        .rev()
        .map(|info| info.id)
        .collect();
    assert_eq!(listed, known.iter().map(|(id, _)| *id).collect::<Vec<_>>());
    for (id, state) in known {
        let reader = domain.reader(*id).unwrap();
        assert_eq!(reader.info().objects, state.len() as u64);
        for name in TYPES {
            let object_type = object_type(name);
            let wanted: BTreeMap<&str, &(Option<String>, Vec<u8>)> = state
                .iter()
                .filter(|((found, _), _)| *found == object_type)
                .map(|((_, id), found)| (id.as_str(), found))
                .collect();
            assert_eq!(reader.count(object_type), wanted.len() as u64);
            let mut seen = BTreeMap::new();
            reader
                .for_each(object_type, &mut |stored| {
                    let (parent, body) = wanted[stored.id.as_str()];
                    assert_eq!((&stored.parent, &stored.body), (parent, body));
                    assert_eq!(stored.content_id, domain.content_id(body));
                    seen.insert(stored.id.clone(), stored);
                    Ok(())
                })
                .unwrap();
            assert_eq!(
                seen.keys().map(String::as_str).collect::<Vec<_>>(),
                wanted.keys().copied().collect::<Vec<_>>()
            );
            let mut ids = BTreeSet::new();
            reader
                .ids(object_type, &mut |id, parent| {
                    assert_eq!(parent, wanted[id].0.as_deref());
                    ids.insert(id.to_owned());
                    Ok(())
                })
                .unwrap();
            assert_eq!(ids.len(), wanted.len());
            for (kind, parent, key) in all_objects().filter(|(kind, ..)| TYPES[*kind] == name) {
                let object = made(kind, parent, key, 1);
                let found = reader.get(object_type, &object.id).unwrap();
                assert_eq!(found.as_ref(), seen.get(&object.id));
                assert_eq!(
                    reader.contains(object_type, &object.id).unwrap(),
                    found.is_some()
                );
                let compared = match &found {
                    None => Comparison::Absent,
                    Some(found) if found.body == object.body => Comparison::Same,
                    Some(_) => Comparison::Differs,
                };
                assert_eq!(reader.compare(&object).unwrap(), compared);
            }
            for parent in 0..3 {
                let parent = parent_id(parent);
                let children = reader.children(object_type, &parent).unwrap();
                let under: Vec<&Stored> = seen
                    .values()
                    .filter(|stored| stored.parent.as_ref() == Some(&parent))
                    .collect();
                assert_eq!(
                    children
                        .iter()
                        .map(|child| &child.id)
                        .collect::<BTreeSet<_>>()
                        .len(),
                    under.len()
                );
                assert!(children.iter().all(|child| under.contains(&child)));
                assert_eq!(
                    reader.child_ids(object_type, &parent).unwrap().len(),
                    under.len()
                );
            }
        }
    }
    for (from, old) in known {
        for (to, new) in known {
            let mut found = BTreeSet::new();
            domain
                .changes(*from, *to, &mut |change| {
                    assert!(found.insert(change));
                    Ok(())
                })
                .unwrap();
            let names: BTreeSet<_> = old.keys().chain(new.keys()).collect();
            let wanted: BTreeSet<Change> = names
                .into_iter()
                .filter_map(|name| {
                    let kind = match (old.get(name), new.get(name)) {
                        (None, Some(_)) => ChangeKind::Added,
                        (Some(_), None) => ChangeKind::Removed,
                        (Some(old), Some(new)) if old != new => ChangeKind::Changed,
                        _ => return None,
                    };
                    Some(Change {
                        kind,
                        object_type: name.0,
                        id: name.1.clone(),
                    })
                })
                .collect();
            assert_eq!(found, wanted);
        }
    }
    // Between removed snapshots a version may have gone and come back, which the plain model does not see.
    for (kind, parent, key) in all_objects().filter(|_| history) {
        let object = made(kind, parent, key, 0);
        let name = (object.object_type, object.id);
        let mut wanted: Vec<(SnapshotId, Option<SnapshotId>, Vec<u8>)> = Vec::new();
        let mut open = false;
        for (place, (id, state)) in known.iter().enumerate() {
            let now = state.get(&name).map(|(_, body)| body);
            if open && wanted.last().map(|(_, _, body)| body) == now {
                continue;
            }
            if open {
                wanted.last_mut().unwrap().1 = Some(known[place - 1].0);
            }
            open = now.is_some();
            wanted.extend(now.map(|body| (*id, None, body.clone())));
        }
        let found: Vec<_> = domain
            .history(name.0, &name.1)
            .unwrap()
            .into_iter()
            .map(|version| {
                (
                    version.first_snapshot,
                    version.last_snapshot,
                    version.content_id,
                )
            })
            .collect();
        let wanted: Vec<_> = wanted
            .into_iter()
            .map(|(first, last, body)| (first, last, Some(domain.content_id(&body))))
            .collect();
        assert_eq!(found, wanted, "{name:?}");
    }
}

pub(super) fn all_objects() -> impl Iterator<Item = (usize, u8, u8)> {
    (0..TYPES.len()).flat_map(|kind| {
        let parents = if kind < WHOLE { 0..1u8 } else { 0..3u8 };
        parents.flat_map(move |parent| (0..5u8).map(move |key| (kind, parent, key)))
    })
}
