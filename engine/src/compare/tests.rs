//! The view against the store: what one takes for changed, added and gone, the other does too.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::blobs::Memory;
use crate::id::DomainId;
use crate::keys::FileProvider;
use crate::monitor::Silent;
use crate::store::{ChangeKind, DomainStore, Store};

/// Listed as a whole, relations with a body, relations without.
const TYPES: [&str; 3] = ["user", "app_user", "group_member"];

fn kind(name: &str) -> ObjectType {
    name.parse().unwrap()
}

fn object(object_type: ObjectType, parent: u8, key: u8, content: u8) -> Canonical {
    let own = format!("00u{key:017}");
    let parent = parent_id(parent);
    let under = object_type.has_parent();
    Canonical {
        object_type,
        id: match under {
            true => format!("{parent}/{own}"),
            false => own.clone(),
        },
        parent: under.then_some(parent),
        body: match object_type.entry().bare_relation {
            true => Vec::new(),
            false => format!(r#"{{"id":"{own}","n":{content}}}"#).into_bytes(),
        },
        observed: Vec::new(),
    }
}

fn parent_id(number: u8) -> String {
    format!("00g{number:017}")
}

/// What a collector tells, in its order.
#[derive(Debug, Clone)]
enum Told {
    User(u8, u8),
    UserGone(u8),
    /// A type by its place, a parent, and the whole list under it: key and content.
    List(usize, u8, BTreeMap<u8, u8>),
}

fn told() -> impl Strategy<Value = Told> {
    prop_oneof![
        3 => (0u8..6, 0u8..3).prop_map(|(key, content)| Told::User(key, content)),
        1 => (0u8..6).prop_map(Told::UserGone),
        4 => (1..TYPES.len(), 0u8..3, prop::collection::btree_map(0u8..5, 0u8..3, 0..5))
            .prop_map(|(place, parent, list)| Told::List(place, parent, list)),
    ]
}

fn tell<S: Sink>(sink: &mut S, all: &[Told], unread: Option<usize>) {
    for told in all {
        match told {
            Told::User(key, content) => sink.object(object(kind("user"), 0, *key, *content)),
            Told::UserGone(key) => sink.gone(kind("user"), &object(kind("user"), 0, *key, 0).id),
            Told::List(place, parent, list) => {
                let object_type = kind(TYPES[*place]);
                let children = list
                    .iter()
                    .map(|(key, content)| object(object_type, *parent, *key, *content));
                sink.children(object_type, &parent_id(*parent), children.collect())
            }
        }
        .unwrap();
    }
    for (place, name) in TYPES.iter().enumerate() {
        let coverage = match Some(place) == unread {
            true => Coverage::Incomplete {
                reason: "a test".to_owned(),
            },
            false => Coverage::Complete,
        };
        sink.end_type(kind(name), coverage).unwrap();
    }
}

struct Bench {
    _directory: tempfile::TempDir,
    _store: Store,
    domain: DomainStore,
    backups: std::cell::Cell<i64>,
}

impl Bench {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let provider = FileProvider::open_or_create(&directory.path().join("kek"), false);
        let index = directory.path().join("index.db");
        let store = Store::open(Arc::new(Memory::default()), &index).unwrap();
        let id = DomainId::from_bytes([7; 8]);
        store.create_domain_keys(id, &provider).unwrap();
        let domain = store.open_domain(id, &provider).unwrap();
        Self {
            _directory: directory,
            _store: store,
            domain,
            backups: std::cell::Cell::new(0),
        }
    }

    fn backup(&self, all: &[Told], unread: Option<usize>) -> crate::id::SnapshotId {
        self.backups.set(self.backups.get() + 1);
        let at = jiff::Timestamp::from_second(1_790_000_000 + self.backups.get()).unwrap();
        let mut writer = self.domain.begin(&Silent, at).unwrap();
        tell(&mut writer, all, unread);
        writer.finish(at, Vec::new()).unwrap().id
    }
}

/// Changed, added and gone, by type and id.
type Differences = BTreeSet<(String, &'static str, String)>;

fn by_store(
    domain: &DomainStore,
    from: crate::id::SnapshotId,
    to: crate::id::SnapshotId,
) -> Differences {
    let mut found = Differences::new();
    domain
        .changes(from, to, &mut |change| {
            let word = match change.kind {
                ChangeKind::Added => "added",
                ChangeKind::Removed => "removed",
                ChangeKind::Changed => "changed",
            };
            found.insert((change.object_type.to_string(), word, change.id));
            Ok(())
        })
        .unwrap();
    found
}

fn by_view(view: &LiveView<'_>) -> Differences {
    let mut found = Differences::new();
    for name in TYPES {
        let mut note = |word, id: &str| {
            found.insert((name.to_owned(), word, id.to_owned()));
        };
        view.added(kind(name))
            .for_each(|held| note("added", &held.id));
        view.changed(kind(name))
            .for_each(|held| note("changed", &held.id));
        view.removed(kind(name))
            .iter()
            .for_each(|id| note("removed", id));
    }
    found
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn the_view_sees_what_a_snapshot_of_the_same_answers_would_hold(
        before in vec(told(), 0..12),
        now in vec(told(), 0..12),
        unread in prop::option::of(0..TYPES.len()),
    ) {
        let bench = Bench::new();
        let from = bench.backup(&before, None);
        let reader = bench.domain.reader(from).unwrap();
        let mut view = LiveView::new(&reader);
        tell(&mut view, &now, unread);
        let to = bench.backup(&now, unread);
        // The view takes nothing for gone of a type that was not read completely, also not under one parent.
        let mut wanted = by_store(&bench.domain, from, to);
        wanted.retain(|(name, word, _)| *word != "removed" || unread.is_none_or(|place| TYPES[place] != name));
        prop_assert_eq!(by_view(&view), wanted);
        // Object by object, too, where everything was read.
        let after = bench.domain.reader(to).unwrap();
        for (place, name) in TYPES.iter().enumerate().filter(|(place, _)| Some(*place) != unread) {
            for key in 0..6 {
                let one = object(kind(name), u8::try_from(place).unwrap(), key, 0);
                let wanted = after.get(kind(name), &one.id).unwrap().map(held);
                prop_assert_eq!(view.get(kind(name), &one.id).unwrap(), wanted.clone());
                prop_assert_eq!(view.contains(kind(name), &one.id).unwrap(), wanted.is_some());
            }
        }
    }
}

#[test]
fn a_parent_that_is_listed_again_has_what_the_later_list_has() {
    let bench = Bench::new();
    let list = |keys: &[u8]| {
        let list = keys.iter().map(|key| (*key, 0)).collect();
        Told::List(2, 1, list)
    };
    let from = bench.backup(&[list(&[1, 2, 3])], None);
    let reader = bench.domain.reader(from).unwrap();
    let mut view = LiveView::new(&reader);
    tell(&mut view, &[list(&[1, 2, 4]), list(&[2, 3, 5])], None);
    let member = |key| object(kind("group_member"), 1, key, 0).id;
    let added: Vec<&str> = view
        .added(kind("group_member"))
        .map(|held| held.id.as_str())
        .collect();
    assert_eq!(added, [member(5)]);
    assert_eq!(view.removed(kind("group_member")), [member(1)]);
}
