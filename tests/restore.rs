//! The main job: lose something, get it back.

use std::collections::BTreeSet;

use okta_sim::openapi::Checker;
use okta_sim::picture::Picture;
use okta_sim::{Fault, FaultAction, OktaSim};
use orgkeep_tests::TestDaemon;
use serde_json::{Value, json};

use crate::skipped;

/// Deletes some users, a group with its rules, and an app.
pub(crate) fn disaster(okta: &OktaSim) -> Vec<String> {
    let doomed = okta.dump("user").into_iter();
    let doomed = doomed.filter(|(_, user)| user["status"] != "DEPROVISIONED");
    let users: Vec<String> = doomed.map(|(id, _)| id).step_by(3).take(6).collect();
    for id in &users {
        assert!(okta.admin().delete_user(id).is_success());
    }
    let rules = okta.dump("group_rule");
    let (rule, target) = rules
        .iter()
        .find_map(|(id, rule)| {
            let target = rule["actions"]["assignUserToGroups"]["groupIds"][0].as_str()?;
            Some((id.clone(), target.to_owned()))
        })
        .unwrap();
    assert!(okta.admin().delete_rule(&rule).is_success());
    assert!(okta.admin().delete_group(&target).is_success());
    let assigned = okta.ids("app_group_assignment");
    let app = assigned[0].split('/').next().unwrap();
    assert!(okta.admin().delete_app(app).is_success());
    users
}

pub(crate) fn left_to_do(daemon: &TestDaemon, snapshot: &str) -> u64 {
    let plan = daemon.json(["restore", "plan", "acme", "--snapshot", snapshot]);
    plan["actions"]
        .as_object()
        .unwrap()
        .values()
        .filter_map(Value::as_u64)
        .sum()
}

pub(crate) fn latest(daemon: &TestDaemon) -> String {
    daemon.json(["snapshots", "show", "latest"])["id"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[test]
fn what_was_lost_comes_back() {
    let okta = OktaSim::with_users(120);
    let daemon = TestDaemon::start(&okta);
    daemon.ctl(["backup-now", "acme", "--wait"]).success();
    let snapshot = latest(&daemon);
    let before = Picture::of(&okta);
    let users = disaster(&okta);
    assert!(!before.missing_in(&Picture::of(&okta)).is_empty());

    let removed = daemon.json_lines(["diff", "latest", "live"]);
    for id in &users {
        assert!(
            removed
                .iter()
                .any(|line| line["id"] == json!(id) && line["change"] == "removed"),
            "{id} is told as removed"
        );
    }
    let plan = daemon.json(["restore", "plan", "acme", "--snapshot", &snapshot]);
    assert!(plan["actions"]["create"].as_u64().unwrap() >= 9, "{plan}");
    assert_eq!(plan["actions"]["delete"], 0);
    assert_eq!(
        (&plan["domain"], &plan["target"]),
        (&json!("acme"), &json!("acme"))
    );
    let id = plan["id"].as_str().unwrap();
    let shown = daemon.json_lines(["restore", "show", id]);
    assert_eq!(shown[0]["id"], plan["id"]);
    let actions: u64 = plan["actions"]
        .as_object()
        .unwrap()
        .values()
        .filter_map(Value::as_u64)
        .sum();
    assert_eq!(shown.len() as u64 - 1, actions);

    let job = daemon.json(["restore", "apply", id, "--wait"]);
    assert_eq!(job["state"], "succeeded", "{job}");
    assert_eq!(before.missing_in(&Picture::of(&okta)), [""; 0]);
    assert_eq!(left_to_do(&daemon, &snapshot), 0);
    assert!(okta.mails().is_empty(), "{:?}", okta.mails());

    // Applying it again is its first job.
    let again = daemon.json(["restore", "apply", id, "--wait"]);
    assert_eq!(again["id"], job["id"]);
    let text = daemon
        .ctl(["jobs", "report", job["id"].as_str().unwrap()])
        .success()
        .stdout;
    assert!(text.contains("user"), "{text}");
    let report = daemon.json(["jobs", "report", job["id"].as_str().unwrap()]);
    assert!(report["items"].as_array().unwrap().len() >= 9, "{report}");
    // And the next backup is taken as usual.
    daemon.ctl(["backup-now", "acme", "--wait"]).success();
}

#[test]
fn every_request_is_as_okta_documents_it() {
    let workspace = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let Some(checker) = Checker::open_above(workspace).unwrap() else {
        return skipped("Okta's OpenAPI document is not at hand");
    };
    let okta = OktaSim::with_users(80);
    let daemon = TestDaemon::start(&okta);
    daemon.ctl(["backup-now", "--wait"]).success();
    disaster(&okta);
    daemon
        .ctl(["restore", "now", "--snapshot", "latest", "--yes", "--wait"])
        .success();
    let requests = okta.requests();
    assert!(requests.len() > 200, "{}", requests.len());
    let breaches = requests
        .iter()
        .flat_map(|request| checker.check_logged(request));
    let breaches: BTreeSet<String> = breaches.map(|breach| breach.to_string()).collect();
    assert!(breaches.is_empty(), "{breaches:#?}");
}

#[test]
fn planning_writes_nothing() {
    let okta = OktaSim::with_users(60);
    let daemon = TestDaemon::start(&okta);
    daemon.ctl(["backup-now", "--wait"]).success();
    disaster(&okta);
    okta.clear_requests();
    for mode in ["missing", "additive"] {
        daemon
            .ctl(["restore", "plan", "--snapshot", "latest", "--mode", mode])
            .success();
    }
    daemon.ctl(["diff", "latest", "live"]).success();
    daemon
        .ctl(["restore", "now", "--snapshot", "latest"])
        .code(2);
    assert!(!okta.requests().is_empty());
    assert_eq!(okta.write_requests(), []);
}

#[test]
fn one_object_is_restored_alone_or_with_what_it_needs() {
    let okta = OktaSim::with_users(60);
    let daemon = TestDaemon::start(&okta);
    daemon.ctl(["backup-now", "--wait"]).success();
    let users = disaster(&okta);
    let one = format!("user/{}", users[0]);
    let plan = daemon.json(["restore", "plan", "--snapshot", "latest", "--id", &one]);
    assert_eq!(plan["actions"]["create"], 1, "{plan}");
    let job = daemon.json([
        "restore",
        "now",
        "--snapshot",
        "latest",
        "--id",
        &one,
        "--yes",
        "--wait",
    ]);
    assert_eq!(job["state"], "succeeded", "{job}");
    let rules = daemon.json([
        "restore",
        "plan",
        "--snapshot",
        "latest",
        "--type",
        "group_rule",
    ]);
    let with = daemon.json([
        "restore",
        "plan",
        "--snapshot",
        "latest",
        "--type",
        "group_rule",
        "--with-dependencies",
    ]);
    let created = |plan: &Value| plan["actions"]["create"].as_u64().unwrap();
    assert!(created(&with) > created(&rules), "{rules} {with}");
    let nobody = [
        "restore",
        "plan",
        "--snapshot",
        "latest",
        "--id",
        "user/00unobody",
        "--json",
    ];
    assert_eq!(
        daemon.ctl(nobody).code(1).json()["error"]["code"],
        "not_found"
    );
    daemon
        .ctl([
            "restore",
            "plan",
            "--snapshot",
            "latest",
            "--type",
            "nonsense",
        ])
        .code(2);
}

#[test]
fn missing_leaves_later_changes_alone_and_additive_takes_them_back() {
    let okta = OktaSim::with_users(40);
    let daemon = TestDaemon::start(&okta);
    daemon.ctl(["backup-now", "--wait"]).success();
    let snapshot = latest(&daemon);
    let (id, user) = okta
        .dump("user")
        .into_iter()
        .find(|(_, user)| user["status"] == "ACTIVE" && user["profile"]["title"].is_string())
        .unwrap();
    let title = json!({"profile": {"title": "Changed since"}});
    assert!(
        okta.admin()
            .post(&format!("/api/v1/users/{id}"), title)
            .is_success()
    );
    assert_eq!(left_to_do(&daemon, &snapshot), 0);
    let plan = daemon.json([
        "restore",
        "plan",
        "--snapshot",
        &snapshot,
        "--mode",
        "additive",
    ]);
    assert_eq!(plan["actions"]["update"], 1, "{plan}");
    let job = daemon.json(["restore", "apply", plan["id"].as_str().unwrap(), "--wait"]);
    assert_eq!(job["state"], "succeeded", "{job}");
    assert_eq!(
        okta.dump("user")[&id]["profile"]["title"],
        user["profile"]["title"]
    );
}

#[test]
fn what_changed_after_planning_is_not_overwritten() {
    let okta = OktaSim::with_users(40);
    let daemon = TestDaemon::start(&okta);
    daemon.ctl(["backup-now", "--wait"]).success();
    let path = okta
        .dump("user")
        .into_iter()
        .find(|(_, user)| user["status"] == "ACTIVE")
        .map(|(id, _)| format!("/api/v1/users/{id}"))
        .unwrap();
    let title = |title: &str| json!({"profile": {"title": title}});
    assert!(okta.admin().post(&path, title("One")).is_success());
    let plan = daemon.json([
        "restore",
        "plan",
        "--snapshot",
        "latest",
        "--mode",
        "additive",
    ]);
    assert!(okta.admin().post(&path, title("Two")).is_success());
    let ran = daemon.ctl(["restore", "apply", plan["id"].as_str().unwrap(), "--wait"]);
    assert!(matches!(ran.code, Some(1 | 3 | 7)), "{ran:?}");
    assert_eq!(okta.admin().get(&path).body["profile"]["title"], "Two");
}

#[test]
fn lost_answers_and_refusals_create_nothing_twice() {
    let okta = OktaSim::with_users(80);
    let daemon = TestDaemon::start(&okta);
    daemon.ctl(["backup-now", "--wait"]).success();
    let snapshot = latest(&daemon);
    let before = Picture::of(&okta);
    disaster(&okta);
    let plan = daemon.json(["restore", "plan", "--snapshot", &snapshot]);
    for path in [
        "/api/v1/users*",
        "/api/v1/groups",
        "/api/v1/groups/rules",
        "/api/v1/apps",
    ] {
        okta.fault(Fault::on("POST", path, FaultAction::ResetAfter).once());
    }
    okta.fault(
        Fault::on(
            "POST",
            "/api/v1/users*",
            FaultAction::RateLimit { seconds: 1 },
        )
        .nth(3)
        .once(),
    );
    okta.fault(
        Fault::on(
            "PUT",
            "/api/v1/*",
            FaultAction::Status {
                status: 500,
                body: true,
            },
        )
        .nth(2)
        .once(),
    );
    daemon.ctl(["restore", "apply", plan["id"].as_str().unwrap(), "--wait"]);
    let after = Picture::of(&okta);
    assert_eq!(before.missing_in(&after), [""; 0]);
    assert_eq!(after.missing_in(&before), [""; 0]);
    assert_eq!(left_to_do(&daemon, &snapshot), 0);
}
