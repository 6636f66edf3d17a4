//! What must hold of the table, and its agreement with the reference catalogue where that lies at hand.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::*;

#[test]
fn codes_and_names_are_unique_and_names_read_back() {
    let codes: BTreeSet<u16> = all().map(ObjectType::code).collect();
    let names: BTreeSet<&str> = all().map(ObjectType::name).collect();
    assert_eq!(all().count(), 34);
    assert_eq!(codes.len(), 34);
    assert_eq!(names.len(), 34);
    assert!(!codes.contains(&0));
    for object_type in all() {
        assert_eq!(object_type.name().parse(), Ok(object_type));
        assert_eq!(ObjectType::from_code(object_type.code()), Some(object_type));
    }
}

/// References to types that are restored later: written in a second pass.
const FORWARD: &[(&str, &str)] = &[
    ("user_schema", "app"),
    ("group", "app"),
    ("authenticator", "app"),
];

#[test]
fn parents_and_what_is_referred_to_come_first() {
    let place: BTreeMap<&str, usize> = all()
        .enumerate()
        .map(|(place, t)| (t.name(), place))
        .collect();
    let orders: Vec<u16> = all().map(|t| t.entry().restore_order).collect();
    assert!(orders.is_sorted(), "the table is in restore order");
    for object_type in all() {
        let entry = object_type.entry();
        for parent in entry.parents {
            assert!(
                place[parent] < place[entry.name],
                "{} before {}",
                parent,
                entry.name
            );
        }
        for reference in entry.references {
            assert!(
                !reference.to.is_empty(),
                "{} {}",
                entry.name,
                reference.path
            );
            for to in reference.to {
                let earlier = place[to] <= place[entry.name];
                let late = FORWARD.contains(&(entry.name, to));
                assert!(
                    earlier != late,
                    "{} refers to {to} at {}",
                    entry.name,
                    reference.path
                );
            }
        }
    }
}

#[test]
fn entries_are_consistent_in_themselves() {
    for object_type in all() {
        let entry = object_type.entry();
        let name = entry.name;
        assert!(entry.read_scope.ends_with(".read"), "{name}");
        assert!(entry.manage_scope.ends_with(".manage"), "{name}");
        assert_eq!(
            entry.class == RestoreClass::Relation,
            entry.relate.is_some(),
            "{name}: relations are related"
        );
        assert_eq!(
            entry.class == RestoreClass::Create,
            entry.create.is_some(),
            "{name}"
        );
        let under_parent = matches!(
            entry.listing,
            Listing::UnderParent(_) | Listing::OnePerParent { .. }
        );
        assert_eq!(under_parent, object_type.has_parent(), "{name}");
        assert_eq!(object_type.parents().count(), entry.parents.len(), "{name}");
        if !entry.log_targets.is_empty() {
            assert!(!entry.log_events.is_empty(), "{name}");
        }
        for text in templates(entry) {
            let known = text.split('{').skip(1).all(|rest| {
                ["id}", "parent}", "grandparent}", "target}"]
                    .iter()
                    .any(|p| rest.starts_with(p))
            });
            assert!(known, "{name}: {text}");
            assert!(text.starts_with('/'), "{name}: {text}");
            if text.contains("{grandparent}") {
                assert!(
                    object_type.parents().all(ObjectType::has_parent),
                    "{name}: {text}"
                );
            }
        }
    }
}

/// Every path of an entry, without a method in front.
fn templates(entry: &Entry) -> Vec<&'static str> {
    let mut paths: Vec<&'static str> = match entry.listing {
        Listing::Pages(paths) => paths.to_vec(),
        Listing::PagesThenGet(path) | Listing::UnderParent(path) | Listing::Single(path) => {
            vec![path]
        }
        Listing::OnePerParent { path, .. } => vec![path],
    };
    paths.extend(entry.get);
    paths.extend(entry.create);
    paths.extend(entry.delete);
    paths.extend(
        entry
            .relate
            .and_then(|call| call.split_once(' '))
            .map(|(_, path)| path),
    );
    paths.extend(match entry.update {
        UpdateStyle::Replace(path) | UpdateStyle::Merge(path) => Some(path),
        UpdateStyle::Never => None,
    });
    if let Some(lifecycle) = entry.lifecycle {
        paths.extend([lifecycle.activate, lifecycle.deactivate]);
    }
    paths.extend(entry.attachment.map(|attachment| attachment.path));
    paths
}

/// A path without its query, and with every placeholder written `{}`.
fn shape(path: &str) -> String {
    let path = path.split('?').next().unwrap_or_default();
    path.split('/')
        .map(|segment| {
            if segment.starts_with('{') {
                "{}"
            } else {
                segment
            }
        })
        .collect::<Vec<_>>()
        .join("/")
}

#[test]
fn the_table_agrees_with_the_reference_catalogue() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/okta/catalogue.json");
    let Ok(text) = std::fs::read_to_string(&path) else {
        say_skipped();
        return;
    };
    let reference: serde_json::Value = serde_json::from_str(&text).unwrap();
    let types: BTreeMap<&str, &serde_json::Value> = reference["types"]
        .as_array()
        .unwrap()
        .iter()
        .map(|t| (t["id"].as_str().unwrap(), t))
        .collect();
    for object_type in all() {
        let entry = object_type.entry();
        let name = entry.name;
        let theirs = types[name];
        assert_eq!(
            theirs["restore_order"],
            u64::from(entry.restore_order),
            "{name}"
        );
        let class = match entry.class {
            RestoreClass::Create => "create",
            RestoreClass::UpdateOnly => "update_only",
            RestoreClass::Relation => "relation",
        };
        assert_eq!(theirs["restore_class"], class, "{name}");
        assert_eq!(
            theirs["oauth_scopes"]["read"][0], entry.read_scope,
            "{name}"
        );
        assert_eq!(
            theirs["oauth_scopes"]["manage"][0], entry.manage_scope,
            "{name}"
        );
        let parent = theirs["parent"].as_str();
        assert_eq!(parent.is_some(), object_type.has_parent(), "{name}");
        if let Some(parent) = parent.filter(|parent| *parent != "policy") {
            assert_eq!(entry.parents, [parent], "{name}");
        }
        assert_eq!(
            theirs["list_response"]["items_property"].as_str(),
            entry.items_property,
            "{name}"
        );
        let known = known_paths(theirs);
        for text in templates(entry) {
            let attached = entry
                .attachment
                .is_some_and(|attachment| attachment.path == text);
            assert!(
                attached || known.contains(&shape(text)),
                "{name}: {text} is no path of the type"
            );
        }
        if let (Listing::Pages(paths), Some(max)) =
            (entry.listing, theirs["pagination"]["limit"]["max"].as_u64())
        {
            // Groups take 10,000 by the specification; Okta advises 200.
            let wanted = format!("limit={}", max.min(200));
            assert!(
                paths.iter().all(|path| path.contains(&wanted)),
                "{name}: {wanted}"
            );
        }
        if let (Listing::UnderParent(path), Some(max)) =
            (entry.listing, theirs["pagination"]["limit"]["max"].as_u64())
        {
            assert!(path.contains(&format!("limit={max}")), "{name}: {max}");
        }
    }
}

/// Says that the comparison did not take place.
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn say_skipped() {
    eprintln!("skipped: the reference catalogue is not here");
}

fn known_paths(theirs: &serde_json::Value) -> BTreeSet<String> {
    let mut paths = BTreeSet::new();
    for endpoint in theirs["endpoints"].as_object().unwrap().values() {
        let one = std::slice::from_ref(endpoint);
        for call in endpoint.as_array().map_or(one, Vec::as_slice) {
            paths.insert(shape(call["path"].as_str().unwrap()));
        }
    }
    paths
}
