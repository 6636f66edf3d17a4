//! The store against a slow, obvious model.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::blobs::{Fault, Local, Memory};
use crate::keys::FileProvider;
use crate::monitor::Silent;
use crate::object::{Canonical, Sink};

mod crash;
mod prune;
mod repair;

const DOMAIN: DomainId = DomainId::from_bytes([0xd0, 1, 2, 3, 4, 5, 6, 7]);

fn object_type(name: &str) -> ObjectType {
    name.parse().unwrap()
}

/// Whole (two of them parents of others), named, own ids under a parent, relation with a body, relation without.
const TYPES: [&str; 7] = [
    "user",
    "linked_object_definition",
    "group",
    "authorization_server",
    "as_scope",
    "app_user",
    "group_member",
];

/// How many of [`TYPES`] have no parent; they come first.
const WHOLE: usize = 4;

fn own_id(number: u8) -> String {
    format!("00u{number:016}X")
}

fn parent_id(number: u8) -> String {
    format!("00g{number:016}P")
}

/// An object as the tests make it: few ids, few contents.
fn made(kind: usize, parent: u8, key: u8, content: u8) -> Canonical {
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
enum Op {
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

fn op() -> impl Strategy<Value = Op> {
    let kind = 0usize..TYPES.len();
    prop_oneof![
        4 => (kind.clone(), 0u8..3, 0u8..5, 0u8..3).prop_map(|(kind, parent, key, content)| Op::Object { kind, parent, key, content }),
        4 => (WHOLE..TYPES.len(), 0u8..3, proptest::collection::vec((0u8..5, 0u8..3), 0..5))
            .prop_map(|(kind, parent, children)| Op::Children { kind, parent, children }),
        1 => (kind.clone(), 0u8..3, 0u8..5).prop_map(|(kind, parent, key)| Op::Gone { kind, parent, key }),
        2 => (kind, any::<bool>()).prop_map(|(kind, complete)| Op::End { kind, complete }),
    ]
}

type Name = (ObjectType, String);
type Content = (Option<String>, Vec<u8>);
type State = BTreeMap<Name, Content>;

/// What a snapshot is by the words of [`Sink`], in the plainest way.
fn model(before: &State, ops: &[Op]) -> State {
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

fn write(domain: &DomainStore, ops: &[Op], at: i64) -> Result<SnapshotInfo, StoreError> {
    let mut writer = domain.begin(&Silent, from_millis(at))?;
    for op in ops {
        match op {
            Op::Object {
                kind,
                parent,
                key,
                content,
            } => writer.object(made(*kind, *parent, *key, *content))?,
            Op::Children {
                kind,
                parent,
                children,
            } => {
                let children = children
                    .iter()
                    .map(|(key, content)| made(*kind, *parent, *key, *content))
                    .collect();
                writer.children(object_type(TYPES[*kind]), &parent_id(*parent), children)?;
            }
            Op::Gone { kind, parent, key } => {
                let object = made(*kind, *parent, *key, 0);
                writer.gone(object.object_type, &object.id)?;
            }
            Op::End { kind, complete } => {
                let coverage = if *complete {
                    Coverage::Complete
                } else {
                    Coverage::Incomplete {
                        reason: "x".to_owned(),
                    }
                };
                writer.end_type(object_type(TYPES[*kind]), coverage)?;
            }
        }
    }
    writer.finish(from_millis(at + 5), at.to_le_bytes().to_vec())
}

struct Bench {
    dir: tempfile::TempDir,
    blobs: Arc<dyn BlobStore>,
    provider: FileProvider,
}

impl Bench {
    fn new(blobs: impl FnOnce(&Path) -> Arc<dyn BlobStore>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let provider = FileProvider::open_or_create(&dir.path().join("kek"), false);
        let blobs = blobs(dir.path());
        Self {
            dir,
            blobs,
            provider,
        }
    }

    fn in_memory() -> (Self, Arc<Memory>) {
        let memory = Arc::new(Memory::new());
        let blobs: Arc<dyn BlobStore> = Arc::clone(&memory) as Arc<dyn BlobStore>;
        (Self::new(|_| blobs), memory)
    }

    fn index(&self) -> PathBuf {
        self.dir.path().join("index.db")
    }

    fn open(&self) -> (Store, DomainStore) {
        let store = Store::open(Arc::clone(&self.blobs), &self.index()).unwrap();
        store.create_domain_keys(DOMAIN, &self.provider).unwrap();
        let domain = store.open_domain(DOMAIN, &self.provider).unwrap();
        (store, domain)
    }

    fn lose_index(&self) {
        Index::remove_files(&self.index()).unwrap();
    }
}

/// Whether everything that can be read of the snapshots is as the model says.
fn agrees(store: &Store, domain: &DomainStore, known: &[(SnapshotId, State)], history: bool) {
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

fn all_objects() -> impl Iterator<Item = (usize, u8, u8)> {
    (0..TYPES.len()).flat_map(|kind| {
        let parents = if kind < WHOLE { 0..1u8 } else { 0..3u8 };
        parents.flat_map(move |parent| (0..5u8).map(move |key| (kind, parent, key)))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn snapshots_are_what_the_model_says(steps in proptest::collection::vec(proptest::collection::vec(op(), 0..14), 1..7), removed: prop::sample::Index) {
        let (bench, _) = Bench::in_memory();
        let (store, domain) = bench.open();
        let mut known: Vec<(SnapshotId, State)> = Vec::new();
        for ops in &steps {
            let before = known.last().map(|(_, state)| state.clone()).unwrap_or_default();
            let after = model(&before, ops);
            let info = write(&domain, ops, 1000).unwrap();
            prop_assert_eq!(info.parent, known.last().map(|(id, _)| *id));
            let names: BTreeSet<_> = before.keys().chain(after.keys()).collect();
            let changed = names.into_iter().filter(|name| before.get(name) != after.get(name)).count();
            prop_assert_eq!(info.changes, changed as u64);
            known.push((info.id, after));
        }
        agrees(&store, &domain, &known, true);
        let report = store.reindex(std::slice::from_ref(&domain), &Silent).unwrap();
        prop_assert_eq!(report, ReindexReport { snapshots: known.len() as u64, problems: Vec::new() });
        agrees(&store, &domain, &known, true);

        let gone = removed.index(known.len());
        domain.remove_snapshot(known[gone].0).unwrap();
        known.remove(gone);
        if let Some((id, _)) = known.first() {
            domain.set_pinned(*id, true).unwrap();
        }
        if gone + 1 != steps.len() {
            agrees(&store, &domain, &known, false);
        }
        drop((store, domain));
        bench.lose_index();
        let (store, domain) = bench.open();
        if let Some((id, _)) = known.first() {
            prop_assert!(store.snapshot_info(*id).unwrap().unwrap().pinned);
        }
        if gone + 1 != steps.len() {
            agrees(&store, &domain, &known, false);
        }
    }
}

/// A first backup of some objects of every kind, and a second in which some changed.
fn two_backups() -> [Vec<Op>; 2] {
    let of = |content: u8| -> Vec<Op> {
        let mut ops = Vec::new();
        for kind in 0..TYPES.len() {
            if kind < WHOLE {
                ops.extend((0..5).map(|key| Op::Object {
                    kind,
                    parent: 0,
                    key,
                    content: if key == 0 { content } else { 0 },
                }));
            } else {
                let children = (content..5).map(|key| (key, content)).collect();
                ops.push(Op::Children {
                    kind,
                    parent: 1,
                    children,
                });
            }
            ops.push(Op::End {
                kind,
                complete: true,
            });
        }
        ops
    };
    [of(0), of(1)]
}

/// Whether the store is whole, and every snapshot in it is one that the model knows.
fn is_whole(bench: &Bench, states: &[State]) -> usize {
    let (store, domain) = bench.open();
    let report = crate::check::check(&store, std::slice::from_ref(&domain), true, &Silent).unwrap();
    assert_eq!(report.problems, []);
    let snapshots = store.snapshots(DOMAIN).unwrap();
    let known: Vec<(SnapshotId, State)> = snapshots
        .iter()
        .rev()
        .zip(states)
        .map(|(info, state)| (info.id, state.clone()))
        .collect();
    assert_eq!(known.len(), snapshots.len());
    agrees(&store, &domain, &known, true);
    snapshots.len()
}

#[test]
fn a_failure_at_any_step_of_the_storage_leaves_nothing_behind() {
    let ops = two_backups();
    let first = model(&State::new(), &ops[0]);
    let states = [
        first.clone(),
        model(&first, &ops[1]),
        model(&first, &ops[1]),
    ];
    for fault in [Fault::Before, Fault::After, Fault::Full] {
        for step in 1.. {
            let (bench, memory) = Bench::in_memory();
            let (store, domain) = bench.open();
            write(&domain, &ops[0], 1000).unwrap();
            memory.fail_at(step, fault);
            let written = write(&domain, &ops[1], 2000);
            let struck = memory.heal();
            if let Err(error) = &written {
                assert!(struck);
                assert_eq!(matches!(error, StoreError::NoSpace), fault == Fault::Full);
            } else {
                // Also if no checkpoint could be written, the snapshot is there.
                assert_eq!(store.snapshots(DOMAIN).unwrap().len(), 2);
            }
            // The same process goes on, or another takes up where it ended.
            if step % 2 == 0 {
                drop((store, domain));
                let there = is_whole(&bench, &states);
                assert!(there == 2 || written.is_err());
                write(&bench.open().1, &ops[1], 3000).unwrap();
            } else {
                write(&domain, &ops[1], 3000).unwrap();
            }
            assert!(is_whole(&bench, &states) >= 2);
            bench.lose_index();
            assert!(is_whole(&bench, &states) >= 2);
            if !struck {
                break;
            }
        }
    }
}

#[test]
fn a_snapshot_whose_index_rows_were_lost_is_read_in() {
    let ops = two_backups();
    let first = model(&State::new(), &ops[0]);
    let states = [first.clone(), model(&first, &ops[1])];
    let (bench, _) = Bench::in_memory();
    let (store, domain) = bench.open();
    write(&domain, &ops[0], 1000).unwrap();
    store.checkpoint_wal().unwrap();
    let kept = std::fs::read(bench.index()).unwrap();
    write(&domain, &ops[1], 2000).unwrap();
    drop((store, domain));
    bench.lose_index();
    std::io::Write::write_all(&mut std::fs::File::create(bench.index()).unwrap(), &kept).unwrap();
    assert_eq!(is_whole(&bench, &states), 2);
}

type Damage = fn(&mut Vec<u8>);

#[test]
fn damage_to_any_blob_is_found_and_never_read_as_something_else() {
    let ops = two_backups();
    let (bench, memory) = Bench::in_memory();
    let (store, domain) = bench.open();
    let ids = ops
        .each_ref()
        .map(|ops| write(&domain, ops, 1000).unwrap().id);
    domain.set_pinned(ids[0], true).unwrap();
    let mut whole = BTreeMap::new();
    for id in ids {
        for name in TYPES {
            let reader = domain.reader(id).unwrap();
            reader
                .for_each(object_type(name), &mut |stored| {
                    whole.insert((id, stored.object_type, stored.id.clone()), stored);
                    Ok(())
                })
                .unwrap();
        }
    }
    drop(domain);
    let damages: [(&str, Damage); 4] = [
        ("flipped", |bytes| {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 4;
        }),
        ("first byte", |bytes| bytes[0] ^= 1),
        ("truncated", |bytes| {
            bytes.pop();
        }),
        ("emptied", Vec::clear),
    ];
    for blob in bench.blobs.list("").unwrap() {
        if blob.name.contains("/keys/") {
            continue;
        }
        for (what, damage) in damages {
            let before = bench.blobs.get(&blob.name).unwrap();
            memory.damage(&blob.name, damage);
            let domain = store.open_domain(DOMAIN, &bench.provider).unwrap();
            let report =
                crate::check::check(&store, std::slice::from_ref(&domain), true, &Silent).unwrap();
            assert!(
                report
                    .problems
                    .iter()
                    .any(|problem| problem.blob == blob.name),
                "{} {what}",
                blob.name
            );
            for id in ids {
                let reader = domain.reader(id).unwrap();
                for ((snapshot, object_type, id), stored) in &whole {
                    if *snapshot != reader.info().id {
                        continue;
                    }
                    if let Ok(found) = reader.get(*object_type, id) {
                        let mut found = found.unwrap();
                        assert!(found.observed == stored.observed || found.observed.is_empty());
                        found.observed.clone_from(&stored.observed);
                        assert_eq!(&found, stored);
                    }
                }
            }
            memory.damage(&blob.name, |bytes| *bytes = before);
        }
        let domain = store.open_domain(DOMAIN, &bench.provider).unwrap();
        assert!(
            crate::check::check(&store, &[domain], true, &Silent)
                .unwrap()
                .is_clean()
        );
    }
}

#[test]
fn missing_blobs_are_found_and_the_rest_is_read_in() {
    let ops = two_backups();
    let (bench, memory) = Bench::in_memory();
    let (store, domain) = bench.open();
    let ids = ops
        .each_ref()
        .map(|ops| write(&domain, ops, 1000).unwrap().id);
    bench
        .blobs
        .put("foreign/thing", &SealedBlob::new(b"x".to_vec()))
        .unwrap();
    let record = format!("{DOMAIN}/records/{}", ids[1]);
    let pack = bench.blobs.list(&format!("{DOMAIN}/packs/")).unwrap()[0]
        .name
        .clone();
    for name in [record, pack] {
        let before = bench.blobs.get(&name).unwrap();
        bench.blobs.delete(&name).unwrap();
        let report =
            crate::check::check(&store, std::slice::from_ref(&domain), false, &Silent).unwrap();
        assert!(report.problems.iter().any(|problem| problem.blob == name));
        assert!(
            report
                .problems
                .iter()
                .any(|problem| problem.blob == "foreign/thing")
        );
        bench.blobs.put(&name, &SealedBlob::new(before)).unwrap();
        memory.damage(&name, |bytes| bytes[20] ^= 1);
        let report = store
            .reindex(std::slice::from_ref(&domain), &Silent)
            .unwrap();
        assert!(report.problems.iter().any(|problem| problem.blob == name));
        assert!(
            report
                .problems
                .iter()
                .any(|problem| problem.blob == "foreign/thing")
        );
        memory.damage(&name, |bytes| bytes[20] ^= 1);
        let report = store
            .reindex(std::slice::from_ref(&domain), &Silent)
            .unwrap();
        assert_eq!((report.problems.len(), report.snapshots), (1, 2));
    }
}

/// Snapshots of which each changes a little, with the states that they should hold.
fn chain_of(domain: &DomainStore, steps: &[Vec<Op>]) -> Vec<(SnapshotId, State)> {
    let mut known: Vec<(SnapshotId, State)> = Vec::new();
    for ops in steps {
        let before = known
            .last()
            .map(|(_, state)| state.clone())
            .unwrap_or_default();
        let info = write(domain, ops, 1000).unwrap();
        known.push((info.id, model(&before, ops)));
    }
    known
}

/// The places of the snapshots that can be read where records are lost, in the plainest way.
fn still_read(lost: &[bool], checkpoints: &[bool]) -> Vec<usize> {
    let mut found = Vec::new();
    let mut at = 0;
    loop {
        if lost.get(at) == Some(&false) {
            found.push(at);
            at += 1;
        } else if let Some(next) = (at..lost.len()).find(|place| checkpoints[*place]) {
            found.push(next);
            at = next + 1;
        } else {
            return found;
        }
    }
}

/// Rebuilds the index where some records are lost, deleted or damaged, and compares what can still be read with the model.
///
/// Some checkpoints are damaged as well.
fn lose_records(
    bench: &Bench,
    memory: &Memory,
    known: &[(SnapshotId, State)],
    lost: &[bool],
    damaged: &[bool],
) {
    let record = |at: usize| format!("{DOMAIN}/records/{}", known[at].0);
    bench.lose_index();
    let mut kept = BTreeMap::new();
    for at in (0..known.len()).filter(|at| lost[*at]) {
        let name = record(at);
        kept.insert(name.clone(), bench.blobs.get(&name).unwrap());
        if at % 2 == 0 {
            bench.blobs.delete(&name).unwrap();
        } else {
            memory.damage(&name, |bytes| bytes[30] ^= 1);
        }
    }
    let checkpoint = |at: usize| format!("{DOMAIN}/checkpoints/{}", known[at].0);
    let damage_checkpoints = || {
        for at in (0..known.len()).filter(|at| damaged[*at]) {
            memory.damage(&checkpoint(at), |bytes| bytes[30] ^= 1);
        }
    };
    damage_checkpoints();
    let checkpoints: Vec<bool> = (0..known.len())
        .map(|at| bench.blobs.size(&checkpoint(at)).is_ok() && !damaged[at])
        .collect();
    let found = still_read(lost, &checkpoints);
    let read: Vec<_> = found.iter().map(|at| known[*at].clone()).collect();
    let (store, domain) = bench.open();
    let report = store
        .reindex(std::slice::from_ref(&domain), &Silent)
        .unwrap();
    assert_eq!(report.snapshots, read.len() as u64);
    agrees(&store, &domain, &read, false);
    // A record that was deleted is named by the checkpoint that was read instead, or by the record after it.
    let named: BTreeSet<&str> = report.problems.iter().map(|at| at.blob.as_str()).collect();
    let is_read = |at: &usize| found.contains(at);
    let jumped_to = |at: &usize| lost[*at] || (*at > 0 && !is_read(&(at - 1)));
    for at in 0..known.len() {
        let deleted = lost[at] && at % 2 == 0;
        let unread_after = at + 1 < known.len() && !lost[at + 1] && !is_read(&(at + 1));
        let expected = if deleted {
            unread_after || found.iter().any(|read| *read >= at && jumped_to(read))
        } else {
            lost[at] || !is_read(&at)
        };
        assert_eq!(named.contains(record(at).as_str()), expected, "{at}");
    }
    drop((store, domain));
    bench.lose_index();
    let (store, domain) = bench.open();
    agrees(&store, &domain, &read, false);
    drop((store, domain));
    damage_checkpoints();
    for (name, bytes) in kept {
        bench.blobs.delete(&name).unwrap();
        bench.blobs.put(&name, &SealedBlob::new(bytes)).unwrap();
    }
    bench.lose_index();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_records_are_lost_the_next_checkpoint_is_read(
        steps in proptest::collection::vec(proptest::collection::vec(op(), 0..14), 3..8),
        lost in proptest::collection::vec(proptest::bool::weighted(0.3), 8),
        damaged in proptest::collection::vec(proptest::bool::weighted(0.2), 8),
    ) {
        let (bench, memory) = Bench::in_memory();
        let (store, domain) = bench.open();
        let known = chain_of(&domain, &steps);
        drop((store, domain));
        lose_records(&bench, &memory, &known, &lost[..known.len()], &damaged);
        let (store, domain) = bench.open();
        agrees(&store, &domain, &known, true);
    }
}

/// Six backups with few changes each, after a first one.
fn seven_backups() -> Vec<Vec<Op>> {
    let [first, _] = two_backups();
    let mut steps = vec![first];
    for step in 0..6u8 {
        let kind = usize::from(step) % TYPES.len();
        steps.push(vec![
            Op::Object {
                kind: 0,
                parent: 0,
                key: step % 5,
                content: step % 3 + 1,
            },
            Op::Gone {
                kind,
                parent: 1,
                key: 4,
            },
            Op::Children {
                kind: TYPES.len() - 1,
                parent: 1,
                children: (0..step % 5).map(|key| (key, 0)).collect(),
            },
        ]);
    }
    steps
}

#[test]
fn a_lost_record_costs_only_the_snapshots_before_the_next_checkpoint() {
    let (bench, memory) = Bench::in_memory();
    let (store, domain) = bench.open();
    let known = chain_of(&domain, &seven_backups());
    drop((store, domain));
    let prefix = format!("{DOMAIN}/checkpoints/");
    let checkpoints = bench.blobs.list(&prefix).unwrap();
    let at = |name: &str| {
        known
            .iter()
            .position(|(id, _)| name.ends_with(&id.to_string()))
    };
    let places: BTreeSet<usize> = checkpoints
        .iter()
        .map(|blob| at(&blob.name).unwrap())
        .collect();
    assert!(!places.is_empty() && places.len() < known.len() - 1);
    let whole = vec![false; known.len()];
    for lost in 0..known.len() {
        let one: Vec<bool> = (0..known.len()).map(|at| at == lost).collect();
        lose_records(&bench, &memory, &known, &one, &whole);
    }
    let all = vec![true; known.len()];
    lose_records(&bench, &memory, &known, &all, &whole);

    // What is known through a checkpoint alone begins with it; a backup goes on from there.
    let first = *places.first().unwrap();
    for (id, _) in &known[..=first] {
        bench
            .blobs
            .delete(&format!("{DOMAIN}/records/{id}"))
            .unwrap();
    }
    let (store, domain) = bench.open();
    let history = domain.history(object_type("group"), &parent_id(0)).unwrap();
    assert_eq!(history.len(), 1);
    assert_eq!(history[0].first_snapshot, known[first].0);
    let mut read = known[first..].to_vec();
    let ops = &two_backups()[1];
    let next = write(&domain, ops, 9000).unwrap();
    assert_eq!(next.parent, known.last().map(|(id, _)| *id));
    read.push((next.id, model(&known.last().unwrap().1, ops)));
    agrees(&store, &domain, &read, false);
    let report = store
        .reindex(std::slice::from_ref(&domain), &Silent)
        .unwrap();
    let named: BTreeSet<String> = report.problems.into_iter().map(|at| at.blob).collect();
    let missing = known[..=first].iter();
    assert_eq!(
        named,
        missing
            .map(|(id, _)| format!("{DOMAIN}/records/{id}"))
            .collect()
    );
    agrees(&store, &domain, &read, false);
}

#[test]
fn a_checkpoint_is_written_when_the_records_since_the_last_exceed_half_of_it() {
    let (bench, _) = Bench::in_memory();
    let (_, domain) = bench.open();
    let size = |kind: &str, id: SnapshotId| bench.blobs.size(&format!("{DOMAIN}/{kind}/{id}"));
    let mut last = None;
    let mut since = 0;
    let mut written = 0;
    for ops in seven_backups().iter().cycle().take(20) {
        let id = write(&domain, ops, 1000).unwrap().id;
        let record = size("records", id).unwrap();
        let Some(base) = last else {
            last = Some(record);
            continue;
        };
        since += record;
        let found = size("checkpoints", id).ok();
        assert_eq!(found.is_some(), since * 2 > base);
        if let Some(bytes) = found {
            (last, since) = (Some(bytes), 0);
            written += 1;
        }
    }
    assert!((2..12).contains(&written), "{written}");
}

#[test]
fn one_domain_is_written_by_one_writer_however_often_it_is_opened() {
    let (bench, _) = Bench::in_memory();
    let (store, one) = bench.open();
    let other = store.open_domain(DOMAIN, &bench.provider).unwrap();
    let writer = one.begin(&Silent, from_millis(1000)).unwrap();
    for domain in [&one, &other] {
        assert!(matches!(
            domain.begin(&Silent, from_millis(1000)),
            Err(StoreError::Busy)
        ));
    }
    let elsewhere = DomainId::from_bytes([7; 8]);
    store
        .create_domain_keys(elsewhere, &bench.provider)
        .unwrap();
    let domain = store.open_domain(elsewhere, &bench.provider).unwrap();
    write(&domain, &two_backups()[0], 1000).unwrap();
    drop(writer);
    let ops = two_backups();
    let first = write(&other, &ops[0], 1000).unwrap();
    let second = write(&one, &ops[1], 1000).unwrap();
    assert_eq!(second.parent, Some(first.id));
    // What one has written the other can name.
    let mut changes = 0;
    other
        .changes(first.id, second.id, &mut |_| {
            changes += 1;
            Ok(())
        })
        .unwrap();
    assert_eq!(changes, second.changes);
    assert!(one.history(object_type("user"), &own_id(0)).unwrap().len() == 2);
}

#[test]
fn a_relation_that_was_gone_and_is_listed_after_all_is_there() {
    let (bench, _) = Bench::in_memory();
    let (store, domain) = bench.open();
    let listed = Op::Children {
        kind: 6,
        parent: 1,
        children: vec![(2, 0)],
    };
    let gone = Op::Gone {
        kind: 6,
        parent: 1,
        key: 2,
    };
    write(&domain, std::slice::from_ref(&listed), 1000).unwrap();
    let info = write(&domain, &[gone, listed], 2000).unwrap();
    assert_eq!((info.objects, info.changes), (1, 0));
    // An index that knew a snapshot, the record of which is lost, names it when it is rebuilt.
    let name = format!("{DOMAIN}/records/{}", info.id);
    bench.blobs.delete(&name).unwrap();
    let checkpoint = format!("{DOMAIN}/checkpoints/{}", info.id);
    bench.blobs.delete(&checkpoint).unwrap();
    let report = store
        .reindex(std::slice::from_ref(&domain), &Silent)
        .unwrap();
    assert_eq!(report.snapshots, 1);
    assert!(report.problems.iter().any(|problem| problem.blob == name));
}

#[test]
fn what_lives_under_what_is_gone_goes_with_it_where_it_was_read_completely() {
    for (child_complete, gone_last) in [(true, true), (true, false), (false, true)] {
        let (bench, _) = Bench::in_memory();
        let (_, domain) = bench.open();
        let ops = &two_backups()[0];
        write(&domain, ops, 1000).unwrap();
        let (server, scope) = (object_type("authorization_server"), object_type("as_scope"));
        let (group, member) = (object_type("group"), object_type("group_member"));
        let mut writer = domain.begin(&Silent, from_millis(2000)).unwrap();
        let gone = |writer: &mut SnapshotWriter<'_>| {
            writer.gone(server, &parent_id(1)).unwrap();
            writer.gone(group, &parent_id(1)).unwrap();
        };
        if !gone_last {
            gone(&mut writer);
        }
        // They were listed, and one of them is new.
        for (kind, of_type) in [(4, scope), (6, member)] {
            let children = (0..6).map(|key| made(kind, 1, key, 0)).collect();
            writer.children(of_type, &parent_id(1), children).unwrap();
            let coverage = if child_complete {
                Coverage::Complete
            } else {
                Coverage::Incomplete {
                    reason: "x".to_owned(),
                }
            };
            writer.end_type(of_type, coverage).unwrap();
        }
        if gone_last {
            gone(&mut writer);
        }
        let lost: u64 = writer.losses().unwrap().iter().map(|loss| loss.gone).sum();
        let info = writer.finish(from_millis(2000), Vec::new()).unwrap();
        let reader = domain.reader(info.id).unwrap();
        let left = if child_complete { 0 } else { 6 };
        assert_eq!(lost, if child_complete { 12 } else { 2 });
        for of_type in [scope, member] {
            assert_eq!(reader.count(of_type), left);
            assert_eq!(
                reader.children(of_type, &parent_id(1)).unwrap().len() as u64,
                left
            );
        }
        assert!(!reader.contains(group, &parent_id(1)).unwrap());
    }
}

#[test]
fn no_profile_value_and_no_name_stands_in_any_file() {
    let bench = Bench::new(|dir| Arc::new(Local::open(&dir.join("store")).unwrap()));
    let (store, domain) = bench.open();
    for ops in two_backups() {
        write(&domain, &ops, 1000).unwrap();
    }
    let mut files = vec![bench.dir.path().to_owned()];
    let mut seen = 0;
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(
                std::fs::read_dir(&path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
            continue;
        }
        seen += 1;
        let mode = std::os::unix::fs::PermissionsExt::mode(
            &std::fs::metadata(&path).unwrap().permissions(),
        );
        assert_eq!(mode & 0o077, 0, "{}", path.display());
        let bytes = std::fs::read(&path).unwrap();
        for secret in ["secret", "mail", "example.com", "lastLogin", "profile"] {
            assert_eq!(
                memchr::memmem::find(&bytes, secret.as_bytes()),
                None,
                "{secret} in {}",
                path.display()
            );
        }
    }
    assert!(seen > 6);
    drop((store, domain));
}

#[test]
fn an_unchanged_org_makes_a_snapshot_and_no_pack() {
    let (bench, _) = Bench::in_memory();
    let (store, domain) = bench.open();
    let ops = two_backups();
    let first = write(&domain, &ops[0], 1000).unwrap();
    let packs = bench.blobs.list(&format!("{DOMAIN}/packs/")).unwrap();
    let second = write(&domain, &ops[0], 1000).unwrap();
    assert_eq!(
        bench.blobs.list(&format!("{DOMAIN}/packs/")).unwrap(),
        packs
    );
    assert_eq!(
        (second.changes, second.objects, second.parent),
        (0, first.objects, Some(first.id))
    );
    assert!(second.created_at > first.created_at && second.bytes_new < 300);
    assert_eq!(
        domain.log_position().unwrap(),
        Some(1000i64.to_le_bytes().to_vec())
    );
    assert_eq!(
        store.resolve_prefix(&second.id.to_string()[..9]).unwrap(),
        [second.id]
    );
}

#[test]
fn what_went_and_came_back_is_not_stored_again() {
    let (bench, _) = Bench::in_memory();
    let (_, domain) = bench.open();
    let ops = two_backups();
    for (ops, packs) in [(&ops[0], 1), (&ops[1], 2), (&ops[0], 3)] {
        write(&domain, ops, 1000).unwrap();
        assert_eq!(
            bench.blobs.list(&format!("{DOMAIN}/packs/")).unwrap().len(),
            packs
        );
    }
    // The third pack holds the logins alone, of which only the latest are kept.
    let last = bench.blobs.list(&format!("{DOMAIN}/packs/")).unwrap();
    assert!(last.iter().any(|blob| blob.bytes < 400));
}

#[test]
fn only_the_latest_of_what_moves_is_kept_and_what_was_not_read_stays() {
    let (bench, _) = Bench::in_memory();
    let (_, domain) = bench.open();
    let user = object_type("user");
    let seen = |id: SnapshotId, key: u8| {
        let stored = domain
            .reader(id)
            .unwrap()
            .get(user, &own_id(key))
            .unwrap()
            .unwrap();
        String::from_utf8(stored.observed).unwrap()
    };
    let first = write(
        &domain,
        &[
            Op::Object {
                kind: 0,
                parent: 0,
                key: 0,
                content: 1,
            },
            Op::Object {
                kind: 0,
                parent: 0,
                key: 1,
                content: 1,
            },
            Op::End {
                kind: 0,
                complete: true,
            },
        ],
        1000,
    )
    .unwrap();
    assert_eq!(seen(first.id, 0), r#"{"lastLogin":1}"#);
    let second = write(
        &domain,
        &[
            Op::Object {
                kind: 0,
                parent: 0,
                key: 0,
                content: 2,
            },
            Op::End {
                kind: 0,
                complete: false,
            },
        ],
        1000,
    )
    .unwrap();
    for id in [first.id, second.id] {
        assert_eq!(
            (seen(id, 0).as_str(), seen(id, 1).as_str()),
            (r#"{"lastLogin":2}"#, r#"{"lastLogin":1}"#)
        );
    }
}

#[test]
fn losses_are_counted_by_type_before_the_snapshot_is_finished() {
    let (bench, _) = Bench::in_memory();
    let (_, domain) = bench.open();
    write(&domain, &two_backups()[0], 1000).unwrap();
    let mut writer = domain.begin(&Silent, from_millis(2000)).unwrap();
    assert!(matches!(
        domain.begin(&Silent, from_millis(2000)),
        Err(StoreError::Busy)
    ));
    writer.object(made(0, 0, 1, 0)).unwrap();
    writer
        .end_type(object_type("user"), Coverage::Complete)
        .unwrap();
    writer
        .children(object_type("group_member"), &parent_id(1), Vec::new())
        .unwrap();
    writer
        .end_type(object_type("group_member"), Coverage::Complete)
        .unwrap();
    let losses: Vec<_> = writer
        .losses()
        .unwrap()
        .iter()
        .map(|loss| (loss.object_type.name(), loss.before, loss.gone))
        .collect();
    assert!(
        losses.contains(&("user", 5, 4))
            && losses.contains(&("group_member", 5, 5))
            && losses.len() == 2
    );
    drop(writer);
    domain.begin(&Silent, from_millis(2000)).unwrap();
}

#[test]
fn an_erased_domain_leaves_nothing() {
    let (bench, _) = Bench::in_memory();
    let (store, domain) = bench.open();
    write(&domain, &two_backups()[0], 1000).unwrap();
    drop(domain);
    store.erase_domain(DOMAIN).unwrap();
    assert_eq!(bench.blobs.list("").unwrap(), []);
    assert_eq!(store.snapshots(DOMAIN).unwrap(), []);
    assert!(matches!(
        store.open_domain(DOMAIN, &bench.provider),
        Err(StoreError::NoDomainKeys { .. })
    ));
    let bytes = std::fs::read(bench.index()).unwrap();
    assert_eq!(memchr::memmem::find(&bytes, own_id(1).as_bytes()), None);
    store.erase_domain(DOMAIN).unwrap();
}

#[test]
fn the_last_registration_and_the_last_meta_count() {
    let (bench, memory) = Bench::in_memory();
    let (store, _) = bench.open();
    let sealed =
        |text: &str| crate::keys::seal_envelope(&bench.provider, b"a", text.as_bytes()).unwrap();
    let (one, two) = (sealed("1"), sealed("2"));
    store.put_registration(DOMAIN, one.clone()).unwrap();
    memory.fail_at(2, Fault::Before);
    assert!(store.put_registration(DOMAIN, two.clone()).is_err());
    memory.heal();
    assert_eq!(store.registrations().unwrap(), [(DOMAIN, two.clone())]);
    assert!(store.put_registration(DOMAIN, b"plain".to_vec()).is_err());
    store.remove_registration(DOMAIN).unwrap();
    assert_eq!(store.registrations().unwrap(), []);
    assert_eq!(store.meta("state-key").unwrap(), None);
    for _ in 0..12 {
        store.put_meta("state-key", one.clone()).unwrap();
    }
    store.put_meta("state-key", two.clone()).unwrap();
    assert_eq!(store.meta("state-key").unwrap(), Some(two));
    assert_eq!(bench.blobs.list("meta/").unwrap().len(), 1);
}

#[test]
fn an_index_of_a_newer_program_is_refused_and_left_as_it_is() {
    let (bench, _) = Bench::in_memory();
    drop(bench.open());
    let connection = rusqlite::Connection::open(bench.index()).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    drop(connection);
    let before = std::fs::read(bench.index()).unwrap();
    let refused = Store::open(Arc::clone(&bench.blobs), &bench.index());
    assert!(matches!(
        refused,
        Err(StoreError::Index(IndexError::Newer { found: 99, .. }))
    ));
    assert_eq!(std::fs::read(bench.index()).unwrap(), before);
}

#[test]
fn readers_keep_their_snapshot_while_others_are_written_and_the_index_is_rebuilt() {
    let (bench, _) = Bench::in_memory();
    let (store, domain) = bench.open();
    let ops = two_backups();
    let first = write(&domain, &ops[0], 1000).unwrap();
    let reader = domain.reader(first.id).unwrap();
    let all = |reader: &SnapshotReader| {
        let mut found = Vec::new();
        for name in TYPES {
            reader
                .for_each(object_type(name), &mut |stored| {
                    found.push((stored.id, stored.body));
                    Ok(())
                })
                .unwrap();
        }
        found
    };
    let before = all(&reader);
    write(&domain, &ops[1], 2000).unwrap();
    assert_eq!(all(&reader), before);
    store
        .reindex(std::slice::from_ref(&domain), &Silent)
        .unwrap();
    assert_eq!(all(&reader), before);
    write(&domain, &ops[0], 3000).unwrap();
    assert_eq!(all(&reader), before);
}
