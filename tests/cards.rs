//! Domains: registering them, their cards, and each of the cards' actions.

use std::fs;

use okta_sim::{OktaSim, RateLimits};
use orgkeep_tests::TestDaemon;
use orgkeep_tests::wait::until;
use serde_json::{Value, json};

#[test]
fn a_card_has_every_field_of_the_interface_and_its_defaults() {
    let okta = OktaSim::with_users(10);
    let daemon = TestDaemon::bare();
    let card = daemon.add(&okta, "acme", &["--skip-keys"]).success().json();
    let mut fields: Vec<_> = card
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    fields.sort_unstable();
    assert_eq!(
        fields,
        [
            "added_at",
            "app_status",
            "app_status_detail",
            "backup_enabled",
            "key_management",
            "last_backup",
            "last_good_snapshot",
            "name",
            "next_backup_at",
            "okta_domain",
            "org_id",
            "protected_items",
            "restore_scopes_missing",
            "retention",
            "schedule",
            "scopes",
            "storage_region",
            "timezone",
            "warnings",
        ]
    );
    for (field, value) in [
        ("name", json!("acme")),
        ("okta_domain", json!(okta.url())),
        ("org_id", json!(okta.org_id())),
        ("app_status", json!("connected")),
        ("backup_enabled", json!(true)),
        ("key_management", json!("not_enabled")),
        ("schedule", json!("@daily")),
        ("timezone", json!("UTC")),
        (
            "retention",
            json!("within=48h,last=5,daily=30,weekly=12,monthly=12"),
        ),
        ("storage_region", json!("local")),
        ("last_backup", Value::Null),
        ("last_good_snapshot", Value::Null),
        ("restore_scopes_missing", json!([])),
        ("protected_items", json!({})),
    ] {
        assert_eq!(card[field], value, "{field}");
    }
    assert_eq!(card["scopes"]["missing"], json!([]));
    let granted = card["scopes"]["granted"].as_array().unwrap();
    assert!(granted.contains(&json!("okta.users.read")), "{granted:?}");

    assert_eq!(daemon.json(["domains", "show", "acme"]), card);
    assert_eq!(daemon.json_lines(["domains"]), [card]);

    for command in [
        ["domains"].as_slice(),
        &["domains", "show"],
        &["status"],
        &["keys", "status"],
    ] {
        assert!(
            daemon.ctl(command).success().stdout.contains("acme"),
            "{command:?}"
        );
    }
}

#[test]
fn every_kind_of_credentials_signs_in() {
    let okta = OktaSim::with_users(10);
    let daemon = TestDaemon::bare();
    let file = daemon.directory().join("credentials");
    let path = file.to_str().unwrap();
    fs::write(&file, okta.service_private_key_pem()).unwrap();
    let by_key = [
        "domains",
        "add",
        okta.url(),
        "--name",
        "acme",
        "--client-id",
        okta.service_client_id(),
        "--private-key-file",
        path,
        "--key-id",
        okta.service_key_id(),
    ];
    daemon.ctl(by_key).success();
    fs::write(&file, okta.api_token()).unwrap();
    daemon
        .ctl(["domains", "reauthorize", "acme", "--api-token-file", path])
        .success();
    daemon.ctl(["keys", "enable"]).success();
    daemon.ctl(["backup-now", "--wait"]).success();
    fs::write(&file, okta.client_secret()).unwrap();
    let by_secret = [
        "domains",
        "reauthorize",
        "--client-id",
        okta.client_id(),
        "--client-secret-file",
        path,
    ];
    daemon.ctl(by_secret).success();
    daemon.ctl(["backup-now", "--wait"]).success();
}

#[test]
fn what_cannot_be_registered_says_why_and_stores_nothing() {
    let okta = OktaSim::with_users(10);
    let daemon = TestDaemon::bare();
    let add = |okta_domain: &str, secret: &str| {
        let arguments = [
            "domains",
            "add",
            okta_domain,
            "--client-id",
            okta.client_id(),
            "--client-secret-file",
            "-",
            "--json",
        ];
        daemon.ctl_with(arguments, secret)
    };
    let wrong = add(okta.url(), "wrong").code(1);
    assert_eq!(wrong.problem()["code"], "unauthorized");
    // Nothing listens there.
    let unreachable = add("http://127.0.0.1:9", "any").code(1);
    assert_eq!(unreachable.problem()["code"], "unreachable");
    let admin = add("https://acme-admin.okta.com", "any").code(1);
    assert_eq!(admin.problem()["code"], "admin_host");
    assert!(
        admin.problem()["detail"]
            .as_str()
            .unwrap()
            .contains("acme.okta.com"),
        "{admin:?}"
    );
    add("http://acme.okta.com", "any").code(2);
    add("https://acme.okta.com:8443/x", "any").code(2);
    assert_eq!(daemon.ctl(["domains", "--json"]).success().stdout, "");
    daemon.ctl(["domains", "show", "acme"]).code(6);
    let taken = add(okta.url(), okta.client_secret());
    assert_eq!(taken.success().json()["org_id"], okta.org_id());
}

#[test]
fn a_name_and_an_org_are_registered_once() {
    let (okta, other) = (
        OktaSim::with_users(5),
        OktaSim::builder().users(6).seed(7).start().unwrap(),
    );
    let daemon = TestDaemon::start(&okta);
    let taken = daemon.add(&other, "acme", &[]).code(7);
    assert_eq!(taken.problem()["code"], "name_taken");
    assert!(
        taken.problem()["detail"]
            .as_str()
            .unwrap()
            .contains("--name"),
        "{taken:?}"
    );
    daemon.add(&okta, "acme2", &[]).code(7);
    daemon.add(&other, "Not a name", &[]).code(2);
    daemon.add(&other, "beta", &[]).success();
    assert_eq!(daemon.json_lines(["domains"]).len(), 2);
    // With two of them, one must be named.
    daemon.ctl(["backup-now"]).code(2);
    let file = daemon.directory().join("token");
    fs::write(&file, other.api_token()).unwrap();
    let reauthorize = [
        "domains",
        "reauthorize",
        "acme",
        "--api-token-file",
        file.to_str().unwrap(),
    ];
    daemon.ctl(reauthorize).code(1);
    assert_eq!(
        daemon.json(["domains", "show", "acme"])["app_status"],
        "connected"
    );
}

#[test]
fn missing_scopes_are_named_and_do_not_prevent_registering() {
    let okta = OktaSim::with_users(10);
    okta.revoke_scope("okta.apps.read");
    okta.revoke_scope("okta.groups.manage");
    let daemon = TestDaemon::bare();
    let card = daemon
        .add(&okta, "acme", &["--enable-keys"])
        .success()
        .json();
    assert_eq!(card["app_status"], "missing_scopes");
    assert_eq!(card["scopes"]["missing"], json!(["okta.apps.read"]));
    daemon.ctl(["backup-now", "--wait"]).code(3);
    okta.grant_scope("okta.apps.read");
    daemon
        .ctl_with(
            [
                "domains",
                "reauthorize",
                "--client-id",
                okta.client_id(),
                "--client-secret-file",
                "-",
            ],
            okta.client_secret(),
        )
        .success();
    daemon.ctl(["backup-now", "--wait"]).success();
    assert_eq!(daemon.json(["domains", "show"])["app_status"], "connected");
}

#[test]
fn scopes_to_grant_can_be_printed() {
    let daemon = TestDaemon::bare();
    let scopes = daemon.json(["domains", "scopes"]);
    for (list, end) in [("backup", ".read"), ("restore", ".manage")] {
        let list = scopes[list].as_array().unwrap();
        assert!(list.len() > 10, "{list:?}");
        assert!(
            list.iter()
                .all(|scope| scope.as_str().unwrap().ends_with(end)),
            "{list:?}"
        );
    }
}

#[test]
fn credentials_that_die_turn_the_card_and_new_ones_turn_it_back() {
    let okta = OktaSim::with_users(10);
    let daemon = TestDaemon::start(&okta);
    daemon.ctl(["backup-now", "--wait"]).success();
    okta.rotate_secrets();
    let job = daemon
        .ctl(["backup-now", "--wait", "--json"])
        .code(1)
        .json();
    assert_eq!(job["state"], "failed");
    assert_eq!(job["error"]["code"], "unauthorized");
    let card = daemon.json(["domains", "show"]);
    assert_eq!(card["app_status"], "unauthorized");
    assert!(card["app_status_detail"].is_string());
    assert_eq!(card["last_backup"]["state"], "failed");
    assert_eq!(daemon.json_lines(["snapshots"]).len(), 1);
    daemon
        .ctl_with(
            ["domains", "reauthorize", "--api-token-file", "-"],
            okta.api_token(),
        )
        .success();
    assert_eq!(daemon.json(["domains", "show"])["app_status"], "connected");
    daemon.ctl(["backup-now", "--wait"]).success();
    assert_eq!(daemon.json_lines(["snapshots"]).len(), 2);
}

#[test]
fn backups_are_switched_and_settings_are_reviewed_and_changed() {
    let okta = OktaSim::with_users(10);
    let daemon = TestDaemon::start(&okta);
    assert!(daemon.json(["domains", "show"])["next_backup_at"].is_string());
    for _ in 0..2 {
        let card = daemon.json(["domains", "disable-backup", "acme"]);
        assert_eq!(card["backup_enabled"], false);
        assert_eq!(card["next_backup_at"], Value::Null);
    }
    daemon.ctl(["backup-now", "acme", "--wait"]).success();
    for _ in 0..2 {
        assert_eq!(
            daemon.json(["domains", "enable-backup", "acme"])["backup_enabled"],
            true
        );
    }
    let settings = daemon.json(["domains", "configure", "acme"]);
    assert_eq!(
        settings,
        json!({
            "schedule": "@daily", "timezone": "UTC", "rate_limit_share": 50, "full_every": "7d",
            "retention": "within=48h,last=5,daily=30,weekly=12,monthly=12", "types": null,
        })
    );
    let changed = daemon.json([
        "domains",
        "configure",
        "acme",
        "--schedule",
        "15 3 * * 1-5",
        "--timezone",
        "Europe/Vienna",
        "--retention",
        "last=3",
        "--rate-limit-share",
        "20",
        "--full-every",
        "12h",
        "--types",
        "user,group",
    ]);
    assert_eq!(changed["types"], json!(["user", "group"]));
    assert_eq!(daemon.json(["domains", "configure"]), changed);
    assert_eq!(daemon.json(["domains", "show"])["schedule"], "15 3 * * 1-5");
    for (flag, value) in [
        ("--schedule", "every now and then"),
        ("--schedule", "continuous"),
        ("--timezone", "Mars/Olympus"),
        ("--retention", "for ever"),
        ("--full-every", "7"),
        ("--types", "user,nonsense"),
        ("--rate-limit-share", "0"),
    ] {
        daemon.ctl(["domains", "configure", flag, value]).code(2);
    }
    assert_eq!(daemon.json(["domains", "configure"]), changed);
    let off = daemon.json(["domains", "configure", "--schedule", "off"]);
    assert_eq!(off["schedule"], "off");
    assert_eq!(
        daemon.json(["domains", "show"])["next_backup_at"],
        Value::Null
    );
}

#[test]
fn backups_wait_for_key_management() {
    let okta = OktaSim::with_users(10);
    let daemon = TestDaemon::bare();
    daemon
        .add(&okta, "acme", &["--skip-keys", "--schedule", "every 1m"])
        .success();
    let refused = daemon.ctl(["backup-now", "acme", "--json"]).code(7);
    assert_eq!(refused.problem()["code"], "key_management_not_enabled");
    assert!(daemon.json_lines(["snapshots"]).is_empty());
    for _ in 0..2 {
        assert_eq!(
            daemon.json(["keys", "enable", "acme"])["key_management"],
            "enabled"
        );
    }
    daemon.ctl(["backup-now", "acme", "--wait"]).success();
    daemon.ctl(["keys", "enable", "nobody"]).code(6);
}

#[test]
fn a_removed_domain_leaves_its_history_and_takes_it_up_again() {
    let okta = OktaSim::with_users(10);
    let daemon = TestDaemon::start(&okta);
    daemon.ctl(["backup-now", "--wait"]).success();
    let snapshots = daemon.json_lines(["snapshots"]);
    daemon.ctl(["domains", "remove", "acme"]).code(2);
    daemon
        .ctl(["domains", "remove", "acme", "--yes", "acme"])
        .success();
    daemon.ctl(["domains", "show", "acme"]).code(6);
    daemon.add(&okta, "again", &[]).success();
    let taken_up = daemon.json_lines(["snapshots", "again"]);
    assert_eq!(taken_up.len(), 1);
    assert_eq!(taken_up[0]["id"], snapshots[0]["id"]);
    daemon.ctl(["objects", "--snapshot", "latest"]).success();

    daemon
        .ctl(["domains", "remove", "again", "--erase", "--yes", "again"])
        .success();
    daemon.add(&okta, "anew", &["--enable-keys"]).success();
    assert!(daemon.json_lines(["snapshots"]).is_empty());
    daemon
        .ctl(["snapshots", "show", snapshots[0]["id"].as_str().unwrap()])
        .code(6);
    daemon.ctl(["backup-now", "--wait"]).success();
}

#[test]
fn a_backup_that_runs_is_not_started_twice_and_can_be_cancelled() {
    let okta = OktaSim::builder()
        .users(40)
        .rate_limits(RateLimits::Published)
        .start()
        .unwrap();
    let daemon = TestDaemon::start(&okta);
    // Held up by what Okta allows of a bucket that is used up.
    okta.set_rate_limits(RateLimits::PerMinute(1));
    let first = daemon.json(["backup-now"]);
    let id = first["id"].as_str().unwrap().to_owned();
    until("the backup runs", || {
        (daemon.json(["jobs", "show", &id])["state"] == "running").then_some(())
    });
    let second = daemon.json(["backup-now"]);
    assert_ne!(second["id"], first["id"]);
    assert_eq!(second["state"], "queued");
    assert_eq!(daemon.json(["backup-now"])["id"], second["id"]);
    let full = daemon.json(["backup-now", "--full"]);
    assert_ne!(full["id"], second["id"]);
    for job in [&second, &full, &first] {
        daemon
            .ctl(["jobs", "cancel", job["id"].as_str().unwrap()])
            .success();
    }
    daemon.ctl(["jobs", "watch", &id]).code(1);
    for job in daemon.json_lines(["jobs", "--domain", "acme", "--kind", "backup"]) {
        assert_eq!(job["state"], "cancelled");
    }
    assert_eq!(daemon.json_lines(["jobs", "--state", "cancelled"]).len(), 3);
    assert!(daemon.json_lines(["snapshots"]).is_empty());
    daemon.ctl(["jobs", "show", "0000000000000000"]).code(6);
}

#[test]
fn a_scheduled_run_without_key_management_is_recorded_as_skipped() {
    let okta = OktaSim::with_users(5);
    let daemon = TestDaemon::bare();
    daemon
        .add(&okta, "acme", &["--skip-keys", "--schedule", "* * * * *"])
        .success();
    let job = until("the run that is due is recorded", || {
        daemon.json_lines(["jobs", "--kind", "backup"]).pop()
    });
    assert_eq!(job["trigger"], "schedule", "{job}");
    let detail = job["error"]["detail"].as_str().unwrap();
    assert!(
        detail.contains("skipped: key management is not enabled"),
        "{job}"
    );
    assert!(daemon.json_lines(["snapshots"]).is_empty());
    assert!(daemon.json(["domains", "show", "acme"])["last_backup"].is_null());
}

#[test]
fn runs_missed_while_the_daemon_was_down_are_caught_up_once() {
    let okta = OktaSim::with_users(5);
    let mut daemon = TestDaemon::bare();
    daemon
        .add(&okta, "acme", &["--enable-keys", "--schedule", "@daily"])
        .success();
    assert!(daemon.json_lines(["jobs", "--kind", "backup"]).is_empty());
    assert!(daemon.terminate().success());
    // As if the daemon had last looked at its schedules days ago.
    let database = rusqlite::Connection::open(daemon.data().join("state.db")).unwrap();
    let moved = database.execute(
        "UPDATE domains SET record = json_set(record, '$.schedule_from',
         strftime('%Y-%m-%dT%H:%M:%SZ', 'now', '-4 days'))",
        [],
    );
    assert_eq!(moved.unwrap(), 1);
    drop(database);

    daemon.restart();
    let caught_up = |jobs: &[Value]| {
        let done = jobs.iter().all(|job| job["state"] == "succeeded");
        (done && !jobs.is_empty()).then_some(jobs.len())
    };
    let jobs = until("the missed runs are caught up", || {
        caught_up(&daemon.json_lines(["jobs", "--kind", "backup"]))
    });
    assert_eq!(jobs, 1);
    assert!(daemon.terminate().success());
    daemon.restart();
    let jobs = daemon.json_lines(["jobs", "--kind", "backup"]);
    assert_eq!(jobs.len(), 1, "{jobs:?}");
    assert_eq!(jobs[0]["trigger"], "catch_up");
}
