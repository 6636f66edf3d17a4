//! The whole way against the simulated org: back up, lose, plan, apply, compare.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use http::Method;
use okta_sim::{OktaSim, RateLimits};
use secrecy::SecretString;

use crate::blobs::Memory;
use crate::catalogue::{self, ObjectType, RestoreClass};
use crate::clock::{Clock, SystemClock};
use crate::collect::{CollectOptions, collect};
use crate::diff::{self, DiffKind, DiffLine};
use crate::export::{export, size};
use crate::id::{DomainId, SnapshotId};
use crate::keys::FileProvider;
use crate::monitor::Silent;
use crate::okta::{Call, Credentials, Http, HttpOptions, OktaApi, OktaDomain, OktaError, Reply};
use crate::plan::{IdMap, Mode, ObjectName, RestorePlan, Selection};
use crate::store::{DomainStore, SnapshotReader, Store};
use crate::testing::fake::kind;

use super::{JournalRecord, MemoryJournal, Outcome, RestoreReport, apply, plan_restore};

/// An org, a store of it, and the client between them.
struct Bench {
    sim: OktaSim,
    api: Http,
    domain: DomainStore,
    _store: Store,
    _directory: tempfile::TempDir,
}

impl Bench {
    fn new(users: u32) -> Self {
        let sim = OktaSim::builder()
            .users(users)
            .seed(7)
            .rate_limits(RateLimits::Off)
            .start()
            .unwrap();
        let directory = tempfile::tempdir().unwrap();
        let store =
            Store::open(Arc::new(Memory::new()), &directory.path().join("index.db")).unwrap();
        let provider = FileProvider::open_or_create(&directory.path().join("kek"), true);
        let id = DomainId::from_bytes([3; 8]);
        store.create_domain_keys(id, &provider).unwrap();
        let domain = store.open_domain(id, &provider).unwrap();
        let okta_domain: OktaDomain = sim.url().parse().unwrap();
        let credentials = Credentials::ApiToken(SecretString::from(sim.api_token().to_owned()));
        let options = HttpOptions::new(
            okta_domain,
            credentials,
            Arc::new(SystemClock),
            Arc::new(Silent),
        );
        let api = Http::new(options).unwrap();
        Self {
            sim,
            api,
            domain,
            _store: store,
            _directory: directory,
        }
    }

    fn backup(&self) -> SnapshotId {
        let mut writer = self.domain.begin(&Silent, SystemClock.now()).unwrap();
        let options = CollectOptions {
            log_settle: std::time::Duration::ZERO,
            ..CollectOptions::default()
        };
        let collected = collect(&self.api, &options, &mut writer, &SystemClock, &Silent).unwrap();
        writer
            .finish(collected.as_of, collected.watermark)
            .unwrap()
            .id
    }

    fn reader(&self, snapshot: SnapshotId) -> SnapshotReader {
        self.domain.reader(snapshot).unwrap()
    }

    fn plan(
        &self,
        snapshot: SnapshotId,
        selection: &Selection,
        mode: Mode,
        ids: &IdMap,
    ) -> RestorePlan {
        self.sim.clear_requests();
        let reader = self.reader(snapshot);
        let plan = plan_restore(
            &self.api,
            &reader,
            selection,
            mode,
            ids,
            &SystemClock,
            &Silent,
        )
        .unwrap();
        assert!(
            self.sim.write_requests().is_empty(),
            "planning sends no write"
        );
        plan
    }

    fn apply(&self, plan: &RestorePlan) -> (RestoreReport, IdMap) {
        let mut journal = MemoryJournal::default();
        let approved = plan.clone().approve(plan.digest().unwrap()).unwrap();
        let report = apply(&self.api, &approved, &mut journal, &SystemClock, &Silent).unwrap();
        let mut ids = IdMap::default();
        for (object_type, old, new) in journal.noted.iter().filter_map(JournalRecord::mapping) {
            ids.insert(object_type, old, new);
        }
        (report, ids)
    }

    fn differences(&self, snapshot: SnapshotId) -> Vec<DiffLine> {
        let mut lines = Vec::new();
        diff::with_live(
            &self.api,
            &self.reader(snapshot),
            true,
            &SystemClock,
            &Silent,
            &mut |line| {
                lines.push(line);
                Ok(())
            },
        )
        .unwrap();
        lines
    }

    fn delete(&self, object_type: &str, id: &str, parent: Option<&str>) -> bool {
        let entry = kind(object_type).entry();
        let Some(delete) = entry.delete else {
            return false;
        };
        let path = |template: &str| crate::collect::expand(template, id, parent, None);
        let admin = self.sim.admin();
        if let Some(lifecycle) = entry
            .lifecycle
            .filter(|lifecycle| lifecycle.delete_only_inactive)
        {
            drop(admin.request(&Method::POST, &path(lifecycle.deactivate), None));
        }
        admin
            .request(&Method::DELETE, &path(delete), None)
            .is_success()
    }
}

fn problems(report: &RestoreReport) -> Vec<String> {
    report
        .actions
        .iter()
        .filter(|action| {
            !matches!(action.outcome, Outcome::Done | Outcome::Skipped)
                || !action.differs.is_empty()
        })
        .map(|a| {
            format!(
                "{:?} {} {} {:?}: {:?} {:?} {:?} {:?}",
                a.action,
                a.object_type,
                a.id,
                a.outcome,
                a.code,
                a.detail,
                a.verification,
                a.differs
            )
        })
        .collect()
}

/// The names of a type's live objects, sorted; of a relation the names of its two ends and its scope.
fn names(sim: &OktaSim, object_type: ObjectType) -> Vec<String> {
    let name = |object_type: ObjectType, json: &serde_json::Value| {
        crate::plan::name_of(object_type, serde_json::to_string(json).unwrap().as_bytes())
            .unwrap_or_default()
    };
    let mut ends = BTreeMap::new();
    if object_type.entry().class == RestoreClass::Relation {
        for end in ["group", "user", "app"] {
            ends.extend(
                sim.dump(end)
                    .into_iter()
                    .map(|(id, json)| (id, name(kind(end), &json))),
            );
        }
    }
    let mut names: Vec<String> = sim
        .dump(object_type.name())
        .iter()
        .map(
            |(id, json)| match id.split_once('/').filter(|_| !ends.is_empty()) {
                Some((near, far)) => format!("{} - {} {}", ends[near], ends[far], json["scope"]),
                None => name(object_type, json),
            },
        )
        .collect();
    names.sort();
    names
}

/// Holds two lists of names against each other.
fn assert_same(object_type: &str, before: &[String], after: &[String]) {
    let lost: Vec<&String> = before.iter().filter(|name| !after.contains(name)).collect();
    let new: Vec<&String> = after.iter().filter(|name| !before.contains(name)).collect();
    assert!(
        lost.is_empty() && new.is_empty(),
        "{object_type}: lost {lost:?}, new {new:?}"
    );
    assert_eq!(before.len(), after.len(), "{object_type}");
}

fn all_names(sim: &OktaSim) -> BTreeMap<&'static str, Vec<String>> {
    catalogue::all()
        .map(|object_type| (object_type.name(), names(sim, object_type)))
        .collect()
}

#[test]
fn groups_rules_users_and_apps_lost_in_a_disaster_come_back() {
    let bench = Bench::new(250);
    let before = all_names(&bench.sim);
    let snapshot = bench.backup();
    assert!(
        bench.differences(snapshot).is_empty(),
        "{:#?}",
        bench.differences(snapshot)
    );
    let reader = bench.reader(snapshot);

    let admin = bench.sim.admin();
    for rule in bench.sim.ids("group_rule").into_iter().take(2) {
        assert!(admin.delete_rule(&rule).is_success());
    }
    let dump = bench.sim.dump("group");
    let groups: Vec<&String> = dump
        .iter()
        .filter(|(_, group)| group["type"] == "OKTA_GROUP")
        .map(|(id, _)| id)
        .take(3)
        .collect();
    for group in &groups {
        assert!(admin.delete_group(group).is_success());
    }
    // Whom an import put into a group, only an import puts there again.
    let imported: Vec<String> = bench
        .sim
        .ids("group_member")
        .iter()
        .filter_map(|id| id.split_once('/'))
        .filter(|(group, _)| dump[*group]["type"] == "APP_GROUP")
        .map(|(_, user)| user.to_owned())
        .collect();
    let lost = |id: &str, user: &serde_json::Value| {
        user["status"] == "ACTIVE" && !imported.contains(&id.to_owned())
    };
    let users: Vec<String> = bench
        .sim
        .dump("user")
        .iter()
        .filter(|(id, user)| lost(id, user))
        .map(|(id, _)| id.clone())
        .take(25)
        .collect();
    assert_eq!(users.len(), 25);
    for user in &users {
        assert!(admin.delete_user(user).is_success());
    }
    let system = [
        "saasure",
        "okta_admin_console",
        "okta_enduser",
        "okta_browser_plugin",
    ];
    let apps: Vec<String> = bench
        .sim
        .dump("app")
        .iter()
        .filter(|(_, app)| !system.contains(&app["name"].as_str().unwrap()))
        .map(|(id, _)| id.clone())
        .take(2)
        .collect();
    for app in &apps {
        assert!(admin.delete_app(app).is_success());
    }
    let removed = bench
        .differences(snapshot)
        .iter()
        .filter(|line| line.change == DiffKind::Removed)
        .count();
    assert!(removed >= 30, "{removed}");

    let plan = bench.plan(
        snapshot,
        &Selection::default(),
        Mode::Missing,
        &IdMap::default(),
    );
    assert_eq!(plan.held_back, Vec::new());
    // A deactivated user whose manager is among the lost ones cannot be changed.
    assert!(
        plan.warnings
            .iter()
            .all(|warning| warning.contains("deactivated")),
        "{:?}",
        plan.warnings
    );
    let (report, ids) = bench.apply(&plan);
    assert_eq!(problems(&report), Vec::<String>::new());
    assert!(bench.sim.mails().is_empty(), "no e-mail is sent");
    let after = all_names(&bench.sim);
    for (object_type, names) in &before {
        // Its name is that of the app, which Okta makes up.
        if *object_type != "app_user_schema" {
            assert_same(object_type, names, &after[object_type]);
        }
    }
    let again = bench.plan(snapshot, &Selection::default(), Mode::Missing, &ids);
    assert_eq!(again.actions, Vec::new());
    drop(reader);
}

#[test]
fn one_of_every_type_that_can_be_created_comes_back() {
    let bench = Bench::new(60);
    let before = all_names(&bench.sim);
    let snapshot = bench.backup();
    let mut deleted = BTreeMap::new();
    for object_type in catalogue::all().filter(|t| t.entry().class == RestoreClass::Create) {
        let reader = bench.reader(snapshot);
        let mut candidates = Vec::new();
        reader
            .for_each(object_type, &mut |stored| {
                candidates.push(stored);
                Ok(())
            })
            .unwrap();
        for stored in candidates {
            let json = crate::plan::values::parse(&stored.body);
            let grand = stored
                .parent
                .as_ref()
                .filter(|_| object_type.name() == "as_policy_rule");
            let creatable = crate::plan::body::cannot_create(object_type, &json).is_none();
            if grand.is_none()
                && creatable
                && object_type.name() != "user"
                && bench.delete(object_type.name(), &stored.id, stored.parent.as_deref())
            {
                deleted.insert(object_type.name(), stored.id);
                break;
            }
        }
    }
    assert!(deleted.len() >= 12, "{deleted:?}");
    let plan = bench.plan(
        snapshot,
        &Selection::default(),
        Mode::Missing,
        &IdMap::default(),
    );
    let (report, ids) = bench.apply(&plan);
    assert_eq!(problems(&report), Vec::<String>::new());
    assert_eq!(plan.held_back, Vec::new());
    let after = all_names(&bench.sim);
    for (object_type, names) in &before {
        // Its name is that of the app, which Okta makes up.
        if *object_type != "app_user_schema" {
            assert_same(object_type, names, &after[object_type]);
        }
    }
    let again = bench.plan(snapshot, &Selection::default(), Mode::Missing, &ids);
    assert_eq!(again.actions, Vec::new());
}

#[test]
fn users_of_every_state_come_back_as_far_as_okta_lets_them() {
    let bench = Bench::new(250);
    let snapshot = bench.backup();
    let mut lost: BTreeMap<String, String> = BTreeMap::new();
    for (id, user) in bench.sim.dump("user") {
        lost.entry(user["status"].as_str().unwrap().to_owned())
            .or_insert(id);
    }
    assert!(lost.len() >= 7, "{lost:?}");
    for id in lost.values() {
        bench.sim.admin().delete_user(id);
        assert!(!bench.sim.ids("user").contains(id));
    }
    let plan = bench.plan(
        snapshot,
        &Selection::default(),
        Mode::Missing,
        &IdMap::default(),
    );
    let (report, ids) = bench.apply(&plan);
    assert!(bench.sim.mails().is_empty(), "no e-mail is sent");
    let users = bench.sim.dump("user");
    for (status, id) in &lost {
        let new = ids.follow(kind("user"), id).pop();
        let now = new.map(|new| users[&new]["status"].as_str().unwrap().to_owned());
        match status.as_str() {
            "DEPROVISIONED" => {
                assert_eq!(now, None);
                assert!(
                    plan.cannot_restore
                        .iter()
                        .any(|loss| loss.id == *id && loss.what == "object")
                );
            }
            "STAGED" => assert_eq!(now.as_deref(), Some("STAGED")),
            "SUSPENDED" => {
                assert_eq!(now.as_deref(), Some("STAGED"), "{:?}", problems(&report));
                assert!(
                    plan.cannot_restore
                        .iter()
                        .any(|loss| loss.id == *id && loss.what == "status")
                );
            }
            _ => assert!(
                matches!(now.as_deref(), Some("ACTIVE" | "PROVISIONED")),
                "{status}: {now:?}"
            ),
        }
    }
    let undone: Vec<_> = report
        .actions
        .iter()
        .filter(|a| !matches!(a.outcome, Outcome::Done | Outcome::Skipped))
        .collect();
    assert!(undone.is_empty(), "{undone:#?}");
}

#[test]
fn additive_brings_changed_objects_back_and_leaves_what_was_added() {
    let bench = Bench::new(60);
    let snapshot = bench.backup();
    let admin = bench.sim.admin();
    let (user, json) = bench
        .sim
        .dump("user")
        .into_iter()
        .find(|(_, user)| user["status"] == "ACTIVE")
        .unwrap();
    let title = json["profile"]["title"].clone();
    assert!(
        admin
            .post(
                &format!("/api/v1/users/{user}"),
                serde_json::json!({"profile": {"title": "Changed"}})
            )
            .is_success()
    );
    let (group, mut json) = bench
        .sim
        .dump("group")
        .into_iter()
        .find(|(_, group)| group["type"] == "OKTA_GROUP")
        .unwrap();
    let name = json["profile"]["name"].clone();
    json["profile"]["name"] = "Renamed".into();
    assert!(
        admin
            .put(
                &format!("/api/v1/groups/{group}"),
                serde_json::json!({"profile": json["profile"]})
            )
            .is_success()
    );
    let rules = bench.sim.dump("group_rule");
    let (rule, mut json) = rules
        .into_iter()
        .find(|(_, rule)| rule["status"] == "ACTIVE")
        .unwrap();
    let rule_name = json["name"].clone();
    json["name"] = "Renamed".into();
    assert!(
        admin
            .post(
                &format!("/api/v1/groups/rules/{rule}/lifecycle/deactivate"),
                serde_json::Value::Null
            )
            .is_success()
    );
    assert!(
        admin
            .put(&format!("/api/v1/groups/rules/{rule}"), json)
            .is_success()
    );
    let (zone, mut json) = bench
        .sim
        .dump("network_zone")
        .into_iter()
        .find(|(_, zone)| zone["system"] == false)
        .unwrap();
    let zone_name = json["name"].clone();
    json["name"] = "Renamed".into();
    assert!(
        admin
            .put(&format!("/api/v1/zones/{zone}"), json)
            .is_success()
    );
    let added = admin.post(
        "/api/v1/groups",
        serde_json::json!({"profile": {"name": "New since"}}),
    );
    assert!(added.is_success());

    let quiet = bench.plan(
        snapshot,
        &Selection::default(),
        Mode::Missing,
        &IdMap::default(),
    );
    assert_eq!(quiet.actions, Vec::new());
    let plan = bench.plan(
        snapshot,
        &Selection::default(),
        Mode::Additive,
        &IdMap::default(),
    );
    let (report, ids) = bench.apply(&plan);
    assert_eq!(problems(&report), Vec::<String>::new());
    assert_eq!(bench.sim.dump("user")[&user]["profile"]["title"], title);
    assert_eq!(bench.sim.dump("group")[&group]["profile"]["name"], name);
    assert_eq!(bench.sim.dump("group_rule")[&rule]["name"], rule_name);
    assert_eq!(bench.sim.dump("group_rule")[&rule]["status"], "ACTIVE");
    assert_eq!(bench.sim.dump("network_zone")[&zone]["name"], zone_name);
    assert!(
        bench.sim.ids("group").contains(&added.id()),
        "nothing is removed"
    );
    let again = bench.plan(snapshot, &Selection::default(), Mode::Additive, &ids);
    assert_eq!(again.actions, Vec::new());
}

#[test]
fn a_plan_for_one_group_does_not_list_users_members_or_assignments() {
    let bench = Bench::new(250);
    let snapshot = bench.backup();
    let id = bench
        .sim
        .dump("group")
        .iter()
        .find(|(_, group)| group["type"] == "OKTA_GROUP")
        .map(|(id, _)| id.clone())
        .unwrap();
    let selection = Selection {
        objects: vec![ObjectName::new(kind("group"), &id)],
        ..Selection::default()
    };
    bench.plan(snapshot, &selection, Mode::Missing, &IdMap::default());
    let wide: Vec<String> = bench
        .sim
        .requests()
        .iter()
        .map(|request| request.path.clone())
        .filter(|path| path == "/api/v1/users" || path.ends_with("/users"))
        .collect();
    assert_eq!(wide, Vec::<String>::new());
}

#[test]
fn an_export_gives_every_object_once() {
    let bench = Bench::new(20);
    let snapshot = bench.backup();
    let reader = bench.reader(snapshot);
    let types: Vec<ObjectType> = catalogue::all().collect();
    let mut counts: BTreeMap<ObjectType, u64> = BTreeMap::new();
    let mut ids = BTreeSet::new();
    export(&reader, &types, &Silent, &mut |lines| {
        let mut count = 0;
        for line in lines.text.split_inclusive(|byte| *byte == b'\n') {
            let line: serde_json::Value = serde_json::from_slice(line).unwrap();
            let id = line["id"].as_str().unwrap().to_owned();
            assert!(ids.insert((lines.object_type, id)), "an object came twice");
            assert!(line["object"].is_object());
            count += 1;
        }
        assert_eq!(count, lines.objects);
        *counts.entry(lines.object_type).or_default() += count;
        Ok(())
    })
    .unwrap();
    for object_type in &types {
        let (objects, bytes) = size(&reader, *object_type, &Silent).unwrap();
        assert_eq!(objects, reader.count(*object_type), "{object_type}");
        let mut written = 0;
        export(&reader, &[*object_type], &Silent, &mut |lines| {
            written += lines.text.len() as u64;
            Ok(())
        })
        .unwrap();
        assert_eq!(bytes, written, "{object_type}");
    }
    for object_type in types {
        assert_eq!(
            counts.get(&object_type).copied().unwrap_or(0),
            reader.count(object_type),
            "{object_type}"
        );
    }
}

#[test]
fn differences_between_snapshots_and_with_the_live_org_agree() {
    let bench = Bench::new(60);
    let first = bench.backup();
    let admin = bench.sim.admin();
    let (user, _) = bench
        .sim
        .dump("user")
        .into_iter()
        .find(|(_, user)| user["status"] == "ACTIVE")
        .unwrap();
    let path = format!("/api/v1/users/{user}");
    assert!(
        admin
            .post(&path, serde_json::json!({"profile": {"title": "Changed"}}))
            .is_success()
    );
    let group = bench
        .sim
        .dump("group")
        .into_iter()
        .find(|(_, group)| group["type"] == "OKTA_GROUP")
        .unwrap()
        .0;
    assert!(admin.delete_group(&group).is_success());
    assert!(
        admin
            .post(
                "/api/v1/groups",
                serde_json::json!({"profile": {"name": "New since"}})
            )
            .is_success()
    );
    let live = bench.differences(first);
    let second = bench.backup();
    let mut stored = Vec::new();
    let shown = diff::Shown {
        names: true,
        attributes: true,
    };
    diff::between(&bench.domain, first, second, shown, &Silent, &mut |line| {
        stored.push(line);
        Ok(())
    })
    .unwrap();
    let sorted = |mut lines: Vec<DiffLine>| {
        lines.sort_by_key(|line| (line.object_type, line.id.clone()));
        lines
    };
    assert_eq!(sorted(live), sorted(stored.clone()));
    let changed = stored
        .iter()
        .find(|line| line.id == user && line.object_type == kind("user"))
        .unwrap();
    assert_eq!(changed.change, DiffKind::Changed);
    let paths: Vec<&str> = changed
        .attributes
        .iter()
        .flatten()
        .map(|change| change.path.as_str())
        .collect();
    assert!(paths.contains(&"profile.title"), "{paths:?}");
    assert!(
        stored
            .iter()
            .any(|line| line.change == DiffKind::Removed && line.id == group)
    );
    let member = format!("{group}/");
    let gone = stored
        .iter()
        .filter(|line| line.id.starts_with(&member))
        .count();
    assert!(gone > 0, "its members are gone with it");
}

#[test]
fn a_restore_killed_between_any_two_requests_creates_nothing_twice() {
    let bench = Bench::new(20);
    let before = all_names(&bench.sim);
    let snapshot = bench.backup();
    let admin = bench.sim.admin();
    let group = bench
        .sim
        .dump("group")
        .into_iter()
        .find(|(_, group)| group["type"] == "OKTA_GROUP")
        .unwrap()
        .0;
    assert!(admin.delete_group(&group).is_success());
    let user = bench
        .sim
        .dump("user")
        .into_iter()
        .find(|(_, user)| user["status"] == "ACTIVE")
        .unwrap()
        .0;
    assert!(admin.delete_user(&user).is_success());
    let origin = bench.sim.ids("trusted_origin").pop().unwrap();
    assert!(bench.delete("trusted_origin", &origin, None));
    let plan = bench.plan(
        snapshot,
        &Selection::default(),
        Mode::Missing,
        &IdMap::default(),
    );
    let approved = plan.clone().approve(plan.digest().unwrap()).unwrap();
    let mut journal = MemoryJournal::default();
    let mut runs = 0;
    // Each run is killed after one more answer has arrived (or has not), until one gets to the end.
    let report = loop {
        let dying = Dying {
            api: &bench.api,
            left: std::sync::atomic::AtomicI64::new(2 + runs % 3),
        };
        runs += 1;
        assert!(runs < 500, "it gets on");
        if let Ok(report) = apply(&dying, &approved, &mut journal, &SystemClock, &Silent) {
            break report;
        }
        if runs > 60 {
            break apply(&bench.api, &approved, &mut journal, &SystemClock, &Silent).unwrap();
        }
    };
    assert!(runs > 3);
    assert_eq!(problems(&report), Vec::<String>::new());
    let after = all_names(&bench.sim);
    for object_type in [
        "group",
        "user",
        "trusted_origin",
        "group_rule",
        "policy_rule",
    ] {
        assert_same(object_type, &before[object_type], &after[object_type]);
    }
}

/// A client whose process dies: after so many requests, the last of them carried out, no more are sent.
struct Dying<'a> {
    api: &'a Http,
    left: std::sync::atomic::AtomicI64,
}

impl OktaApi for Dying<'_> {
    fn send(&self, call: &Call) -> Result<Reply, OktaError> {
        let left = self.left.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
        if left < 1 {
            return Err(OktaError::Cancelled);
        }
        let reply = self.api.send(call);
        // The answer to the last request is lost with the process.
        if left == 1 {
            Err(OktaError::Cancelled)
        } else {
            reply
        }
    }

    fn base_url(&self) -> &str {
        self.api.base_url()
    }
}
