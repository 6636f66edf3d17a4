//! Backups: complete or honest, whatever the org does meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::Duration;

use okta_sim::{Change, Fault, FaultAction, OktaSim, RateLimits};
use orgkeep_tests::TestDaemon;
use serde_json::{Value, json};

/// Objects of the org that the newest snapshot does not hold, as `TYPE ID`.
pub(crate) fn lost(okta: &OktaSim, daemon: &TestDaemon) -> Vec<String> {
    let mut kept: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in daemon.json_lines(["objects", "--snapshot", "latest"]) {
        let text = |name: &str| line[name].as_str().unwrap().to_owned();
        kept.entry(text("type")).or_default().insert(text("id"));
    }
    let mut lost = Vec::new();
    for object_type in types(daemon) {
        let none = BTreeSet::new();
        let kept = kept.get(&object_type).unwrap_or(&none);
        // The simulator knows an app's user schema by the app; the interface by the schema's own id.
        for id in okta
            .ids(&object_type)
            .into_iter()
            .filter(|_| object_type != "app_user_schema")
        {
            if !kept.contains(&id) {
                lost.push(format!("{object_type} {id}"));
            }
        }
    }
    lost
}

/// The types that the newest snapshot covers.
fn types(daemon: &TestDaemon) -> Vec<String> {
    let snapshot = daemon.json(["snapshots", "show", "latest"]);
    snapshot["coverage"]
        .as_object()
        .unwrap()
        .keys()
        .cloned()
        .collect()
}

#[test]
fn a_backup_holds_every_object_of_the_org() {
    let okta = OktaSim::with_users(250);
    let daemon = TestDaemon::start(&okta);
    okta.revoke_tokens(false);
    okta.clear_requests();
    let job = daemon.json(["backup-now", "acme", "--wait"]);
    assert_eq!(job["state"], "succeeded", "{job}");
    assert_eq!(okta.write_requests(), []);
    let requests = okta.requests().into_iter();
    let tokens: Vec<_> = requests
        .filter(|one| one.path == "/oauth2/v1/token")
        .collect();
    assert!(!tokens.is_empty());
    for token in tokens {
        let asked = token.body.unwrap().to_string();
        assert!(
            !asked.contains(".manage"),
            "only what backups need: {asked}"
        );
    }
    assert_eq!(types(&daemon).len(), 34);
    assert_eq!(lost(&okta, &daemon), [""; 0]);

    let snapshot = daemon.json(["snapshots", "show", "latest"]);
    assert_eq!(snapshot["complete"], true);
    assert_eq!(snapshot["parent"], Value::Null);
    let listed = daemon.json_lines(["objects", "--snapshot", "latest"]).len();
    assert_eq!(snapshot["objects"], json!(listed));
    let card = daemon.json(["domains", "show"]);
    assert_eq!(card["last_good_snapshot"], snapshot["id"]);
    assert_eq!(
        card["protected_items"]["user"],
        json!(okta.ids("user").len())
    );
    assert_eq!(card["last_backup"]["job"], job["id"]);
}

#[test]
fn contents_are_as_the_org_has_them() {
    let okta = OktaSim::with_users(40);
    let daemon = TestDaemon::start(&okta);
    daemon.ctl(["backup-now", "--wait"]).success();
    let out = daemon.directory().join("out");
    let job = daemon.json([
        "export",
        "--snapshot",
        "latest",
        "--output",
        out.to_str().unwrap(),
    ]);
    assert_eq!(
        (&job["kind"], &job["state"]),
        (&json!("export"), &json!("succeeded"))
    );
    for (object_type, compared) in [
        (
            "user",
            &["profile", "status", "created", "lastUpdated"] as &[&str],
        ),
        ("group", &["profile", "type", "lastUpdated"]),
        ("group_rule", &["name", "status", "conditions", "actions"]),
        (
            "app",
            &["label", "name", "signOnMode", "settings", "credentials"],
        ),
        ("app_user", &["scope", "status", "profile"]),
    ] {
        let text = fs::read_to_string(out.join(format!("{object_type}.ndjson"))).unwrap();
        let exported: BTreeMap<String, Value> = text
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap())
            .map(|line| {
                (
                    line["id"].as_str().unwrap().to_owned(),
                    line["object"].clone(),
                )
            })
            .collect();
        let live = okta.dump(object_type);
        assert_eq!(exported.len(), live.len(), "{object_type}");
        for (id, object) in live {
            for property in compared {
                assert_eq!(
                    exported[&id][property], object[property],
                    "{object_type} {id} {property}"
                );
            }
        }
    }
    let id = okta.ids("user").remove(0);
    let shown = daemon.json(["objects", "show", "user", &id, "--snapshot", "latest"]);
    assert_eq!(shown["profile"], okta.dump("user")[&id]["profile"]);
    daemon
        .ctl([
            "objects",
            "show",
            "user",
            "00unobody",
            "--snapshot",
            "latest",
        ])
        .code(6);
    daemon
        .ctl([
            "export",
            "--snapshot",
            "latest",
            "--output",
            out.to_str().unwrap(),
        ])
        .code(2);
}

#[test]
fn faults_along_the_way_lose_nothing() {
    let okta = OktaSim::with_users(210);
    let daemon = TestDaemon::start(&okta);
    for action in [
        FaultAction::Status {
            status: 500,
            body: true,
        },
        FaultAction::Status {
            status: 503,
            body: false,
        },
        FaultAction::ResetBefore,
        FaultAction::ResetAfter,
        FaultAction::Truncate,
    ] {
        okta.fault(Fault::on("GET", "/api/v1/*", action).probability(0.01));
    }
    okta.fault(
        Fault::on(
            "GET",
            "/api/v1/groups",
            FaultAction::RateLimit { seconds: 1 },
        )
        .once(),
    );
    okta.fault(
        Fault::on("GET", "/api/v1/users*", FaultAction::RevokeTokens)
            .nth(2)
            .once(),
    );
    okta.fault(
        Fault::on("GET", "/api/v1/apps", FaultAction::ExpireCursors)
            .nth(2)
            .once(),
    );
    let job = daemon.json(["backup-now", "acme", "--wait"]);
    assert_eq!(job["state"], "succeeded", "{job}");
    assert_eq!(lost(&okta, &daemon), [""; 0]);
}

#[test]
fn objects_that_move_between_pages_are_not_lost() {
    let okta = OktaSim::with_users(700);
    let daemon = TestDaemon::start(&okta);
    okta.fault(
        Fault::on(
            "GET",
            "/api/v1/users",
            FaultAction::MoveObjects { count: 20 },
        )
        .times(4),
    );
    let id = okta.ids("user").remove(3);
    let change = Change {
        method: "POST".to_owned(),
        path: format!("/api/v1/users/{id}"),
        body: Some(json!({"profile": {"title": "Changed meanwhile"}})),
    };
    let change = FaultAction::Change {
        requests: vec![change],
    };
    okta.fault(
        Fault::on("GET", "/api/v1/users?*after=*", change)
            .nth(2)
            .once(),
    );
    let job = daemon.json(["backup-now", "acme", "--wait"]);
    assert_eq!(job["state"], "succeeded", "{job}");
    assert_eq!(lost(&okta, &daemon), [""; 0]);
    let shown = daemon.json(["objects", "show", "user", &id, "--snapshot", "latest"]);
    assert_eq!(shown["profile"]["title"], "Changed meanwhile");
}

#[test]
fn a_type_that_fails_keeps_what_it_had_and_says_so() {
    let okta = OktaSim::with_users(60);
    let daemon = TestDaemon::start(&okta);
    daemon.ctl(["backup-now", "--wait"]).success();
    okta.fault(Fault::on(
        "GET",
        "/api/v1/groups/rules*",
        FaultAction::Status {
            status: 500,
            body: true,
        },
    ));
    okta.revoke_scope("okta.eventHooks.read");
    let ran = daemon.ctl(["backup-now", "--wait", "--json"]).code(3);
    assert_eq!(ran.json()["state"], "completed_with_errors");
    let snapshot = daemon.json(["snapshots", "show", "latest"]);
    assert_eq!(snapshot["complete"], false);
    assert_eq!(snapshot["coverage"]["group_rule"]["state"], "incomplete");
    assert_eq!(snapshot["coverage"]["event_hook"]["state"], "missing_scope");
    assert_eq!(snapshot["coverage"]["user"]["state"], "complete");
    // Absence is never taken for deletion.
    assert_eq!(lost(&okta, &daemon), [""; 0]);
    let card = daemon.json(["domains", "show"]);
    assert_eq!(card["app_status"], "missing_scopes");
    assert_eq!(card["scopes"]["missing"], json!(["okta.eventHooks.read"]));
    assert_eq!(card["last_good_snapshot"], snapshot["parent"]);
    daemon
        .ctl([
            "diff",
            snapshot["parent"].as_str().unwrap(),
            "latest",
            "--json",
        ])
        .success();
}

#[test]
fn a_feature_that_the_org_lacks_is_no_error() {
    let okta = OktaSim::with_users(20);
    okta.disable_features(["/api/v1/behaviors"]);
    let daemon = TestDaemon::start(&okta);
    let job = daemon.json(["backup-now", "--wait"]);
    assert_eq!(job["state"], "succeeded", "{job}");
    let snapshot = daemon.json(["snapshots", "show", "latest"]);
    assert_eq!(snapshot["coverage"]["behavior"]["state"], "not_available");
    assert_eq!(snapshot["complete"], true);
}

#[test]
fn a_mass_deletion_is_told_and_the_snapshot_before_it_is_pinned() {
    let okta = OktaSim::with_users(120);
    let daemon = TestDaemon::start(&okta);
    daemon.ctl(["backup-now", "--wait"]).success();
    let before = daemon.json(["snapshots", "show", "latest"]);
    for id in okta.ids("user").iter().skip(5).take(50) {
        okta.admin().delete_user(id);
    }
    daemon.ctl(["backup-now", "--wait", "--json"]).code(3);
    let id = before["id"].as_str().unwrap();
    assert_eq!(daemon.json(["snapshots", "show", id])["pinned"], true);
    let card = daemon.json(["domains", "show"]);
    assert!(!card["warnings"].as_array().unwrap().is_empty(), "{card}");
}

#[test]
fn an_unchanged_org_makes_a_snapshot_and_no_pack() {
    let okta = OktaSim::with_users(250);
    let daemon = TestDaemon::start(&okta);
    daemon.ctl(["backup-now", "acme", "--wait"]).success();
    let packs = daemon.packs();
    daemon.ctl(["backup-now", "acme", "--wait"]).success();
    assert_eq!(daemon.packs(), packs);
    let snapshots = daemon.json_lines(["snapshots"]);
    assert_eq!(snapshots.len(), 2);
    assert_eq!(snapshots[0]["changes"], 0);
    assert_eq!(snapshots[0]["parent"], snapshots[1]["id"]);
    assert!(snapshots[0]["created_at"].as_str() > snapshots[1]["created_at"].as_str());
    assert_eq!(
        daemon
            .ctl([
                "diff",
                snapshots[1]["id"].as_str().unwrap(),
                "latest",
                "--json"
            ])
            .success()
            .stdout,
        ""
    );
}

#[test]
fn a_login_is_not_a_change_and_a_change_is_told_by_attribute() {
    let okta = OktaSim::with_users(30);
    let daemon = TestDaemon::start(&okta);
    daemon.ctl(["backup-now", "--wait"]).success();
    let from = daemon.json(["snapshots", "show", "latest"]);
    let id = okta.ids("user").remove(7);
    let login = okta.dump("user")[&id]["profile"]["login"].clone();
    let title = json!({"profile": {"title": "Bringer of change"}});
    assert!(
        okta.admin()
            .post(&format!("/api/v1/users/{id}"), title)
            .is_success()
    );
    daemon.ctl(["backup-now", "--wait"]).success();
    let from = from["id"].as_str().unwrap();
    for to in ["latest", "live"] {
        let lines = daemon.json_lines(["diff", from, to, "--attributes"]);
        let changed: Vec<_> = lines.iter().filter(|line| line["type"] == "user").collect();
        assert_eq!(changed.len(), 1, "{lines:?}");
        assert_eq!(changed[0]["change"], "changed");
        assert_eq!(changed[0]["id"], json!(id));
        assert_eq!(changed[0]["name"], login);
        let attributes = changed[0]["attributes"].as_array().unwrap();
        let title = attributes
            .iter()
            .find(|one| one["path"] == "profile.title")
            .unwrap();
        assert_eq!(title["to"], "Bringer of change");
    }
    assert_eq!(
        daemon.json_lines(["diff", from, "latest"])[0]["attributes"],
        Value::Null
    );
    let named = daemon.json_lines(["diff", from, "latest"]);
    let mut unnamed = named.clone();
    for line in &mut unnamed {
        line["name"] = Value::Null;
    }
    assert_ne!(named, unnamed);
    assert_eq!(
        daemon.json_lines(["diff", from, "latest", "--no-names"]),
        unnamed
    );
    let history = daemon.json_lines(["objects", "history", "user", &id]);
    assert_eq!(history.len(), 2);
    let text = daemon.ctl(["diff", from, "latest"]).success().stdout;
    assert!(text.contains("~ user"), "{text}");
}

#[test]
fn narrow_rate_limits_are_kept() {
    let okta = OktaSim::builder()
        .users(60)
        .rate_limits(RateLimits::Times(40))
        .rate_limit_window(Duration::from_secs(2))
        .start()
        .unwrap();
    let daemon = TestDaemon::start(&okta);
    let job = daemon.json(["backup-now", "--wait"]);
    assert_eq!(job["state"], "succeeded", "{job}");
    assert!(okta.requests().iter().all(|request| request.status != 429));
    assert_eq!(lost(&okta, &daemon), [""; 0]);
}
