//! The store's upkeep: what is damaged is found, named and made whole; what nobody needs any more is deleted.

use std::fs;
use std::path::{Path, PathBuf};

use okta_sim::OktaSim;
use orgkeep_tests::TestDaemon;
use orgkeep_tests::http::request;
use orgkeep_tests::wait::until;
use serde_json::{Value, json};

/// The store's files of a kind (`packs`, `records` …), in order of their names.
fn blobs(daemon: &TestDaemon, kind: &str) -> Vec<PathBuf> {
    let store = daemon.data().join("store");
    let of_kind = |path: &PathBuf| {
        let below = path.strip_prefix(&store).ok();
        below.and_then(|below| below.iter().nth(1)) == Some(kind.as_ref())
    };
    let mut found: Vec<PathBuf> = daemon.files().into_iter().filter(of_kind).collect();
    found.sort();
    found
}

/// Changes one bit in the middle of a file.
fn flip(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).unwrap();
}

/// A job's last state, whatever it ended with.
fn job(daemon: &TestDaemon, arguments: &[&str], code: i32) -> Value {
    let arguments = arguments.iter().chain(&["--json"]);
    daemon.ctl(arguments).code(code).json()
}

/// Every object of a snapshot, whole, or the exit code with which it is refused.
fn users(daemon: &TestDaemon, snapshot: &str) -> Vec<(String, Result<Value, i32>)> {
    let lines = daemon.json_lines(["objects", "--snapshot", snapshot, "--type", "user"]);
    let ids = lines.iter().map(|line| line["id"].as_str().unwrap());
    ids.map(|id| {
        let shown = daemon.ctl([
            "objects",
            "show",
            "user",
            id,
            "--snapshot",
            snapshot,
            "--json",
        ]);
        let content = match shown.code {
            Some(0) => Ok(shown.json()),
            code => Err(code.unwrap_or(-1)),
        };
        (id.to_owned(), content)
    })
    .collect()
}

/// The same without what moves by itself.
fn contents(users: Vec<(String, Result<Value, i32>)>) -> Vec<(String, Result<Value, i32>)> {
    let still = |(id, content): (String, Result<Value, i32>)| {
        let content = content.map(|mut user| {
            user["observed"] = Value::Null;
            user
        });
        (id, content)
    };
    users.into_iter().map(still).collect()
}

/// An org, a daemon that has backed it up once, what its users hold, and the snapshot.
type BackedUp = (
    OktaSim,
    TestDaemon,
    Vec<(String, Result<Value, i32>)>,
    String,
);

fn backed_up(number: u32) -> BackedUp {
    let okta = OktaSim::with_users(number);
    let daemon = TestDaemon::start(&okta);
    daemon.ctl(["backup-now", "--wait"]).success();
    let before = contents(users(&daemon, "latest"));
    let latest = daemon.json(["snapshots", "show", "latest"]);
    let snapshot = latest["id"].as_str().unwrap().to_owned();
    (okta, daemon, before, snapshot)
}

#[test]
fn a_flipped_bit_in_a_pack_is_found_named_and_mended_by_the_org() {
    let (okta, daemon, before, snapshot) = backed_up(12);
    let snapshot = snapshot.as_str();
    for pack in blobs(&daemon, "packs") {
        fs::write(&pack, b"").unwrap();
    }
    let check = job(&daemon, &["store", "check", "--read-data"], 3);
    assert_eq!(check["state"], "completed_with_errors");
    let problems = check["result"]["problems"].as_array().unwrap();
    let damaged = problems
        .iter()
        .find(|found| found["kind"] == "pack")
        .unwrap();
    assert_eq!(damaged["domain"], "acme");
    assert_eq!(damaged["snapshots"], json!([snapshot]));
    let named = damaged["objects"].as_array().unwrap();
    for (id, _) in &before {
        assert!(named.contains(&json!({"type": "user", "id": id})), "{id}");
    }
    let report = daemon.json(["jobs", "report", check["id"].as_str().unwrap()]);
    assert_eq!(report["items"].as_array().unwrap().len(), named.len());

    let repair = job(&daemon, &["store", "repair"], 0);
    assert_eq!(repair["kind"], "repair");
    assert_eq!(repair["state"], "succeeded", "{repair}");
    let done = &repair["result"];
    assert_eq!(done["whole"], true);
    assert_eq!(done["lost"], json!([]));
    assert!(done["versions_recovered"].as_u64().unwrap() >= 12);
    assert!(!done["set_aside"].as_array().unwrap().is_empty());
    let check = job(&daemon, &["store", "check", "--read-data"], 0);
    assert_eq!(check["result"]["lost"], 0);
    assert_eq!(contents(users(&daemon, snapshot)), before);
    assert_eq!(contents(users(&daemon, "latest")), before);
    assert_eq!(daemon.json_lines(["snapshots"]).len(), 2);

    // Again: nothing is found, nothing is written, and the org is not asked.
    okta.clear_requests();
    let files = daemon.files().len();
    let again = job(&daemon, &["store", "repair"], 0);
    assert_eq!(again["result"]["problems_found"], 0);
    assert_eq!(again["result"]["snapshots"], json!([]));
    assert_eq!(okta.requests(), []);
    assert_eq!(daemon.files().len(), files);
    daemon.ctl(["store", "reindex"]).success();
    assert_eq!(contents(users(&daemon, snapshot)), before);
}

#[test]
fn what_the_org_no_longer_has_is_reported_lost_and_never_read_as_something_else() {
    let (okta, daemon, before, snapshot) = backed_up(8);
    let snapshot = snapshot.as_str();
    for pack in blobs(&daemon, "packs") {
        fs::remove_file(&pack).unwrap();
    }
    let (gone, _) = &before[0];
    okta.admin().delete_user(gone);

    // A backup stores only what changed; that the rest is gone it says.
    let backup = daemon
        .ctl(["backup-now", "--wait", "--json"])
        .code(3)
        .json();
    let report = daemon.json(["jobs", "report", backup["id"].as_str().unwrap()]);
    let warned = report["warnings"].to_string();
    assert!(warned.contains("store repair"), "{report}");
    let repair = job(&daemon, &["store", "repair"], 3);
    assert_eq!(repair["state"], "completed_with_errors");
    let lost = repair["result"]["lost"].as_array().unwrap();
    let of_user = lost.iter().find(|one| one["id"] == json!(gone)).unwrap();
    assert_eq!(
        of_user,
        &json!({"domain": "acme", "type": "user", "id": gone, "snapshots": [snapshot], "pending": false})
    );
    assert_eq!(repair["result"]["versions_pending"], 0);
    let check = job(&daemon, &["store", "check", "--read-data"], 0);
    assert_eq!(check["result"]["lost"], json!(lost.len()));

    let refused = daemon.ctl(["objects", "show", "user", gone, "--snapshot", snapshot]);
    assert!(refused.code(1).stderr.contains("lost"));
    for (id, content) in contents(users(&daemon, snapshot)) {
        let was = before.iter().find(|(known, _)| *known == id).unwrap();
        assert!(content == was.1 || content == Err(1), "{id}");
    }
    let history = daemon.json_lines(["objects", "history", "user", gone]);
    assert_eq!(history[0]["content_id"], Value::Null);
    let listed = daemon.json_lines(["objects", "--snapshot", snapshot, "--type", "user"]);
    assert_eq!(listed.len(), before.len());
    let output = daemon.directory().join("export");
    let arguments = [
        "export",
        "--snapshot",
        snapshot,
        "--type",
        "user",
        "--output",
    ];
    let arguments = arguments.iter().copied().chain([output.to_str().unwrap()]);
    let exported = daemon.ctl(arguments.chain(["--json"])).code(3).json();
    assert_eq!(exported["result"]["lost"], 1);
    let lines = fs::read_to_string(output.join("user.ndjson")).unwrap();
    assert_eq!(lines.lines().count(), before.len() - 1);
    let again = job(&daemon, &["store", "repair"], 0);
    assert_eq!(again["result"]["problems_found"], 0);
}

#[test]
fn with_the_index_lost_as_well_it_says_how_much_is_lost_although_nobody_knows_whose() {
    let (_okta, mut daemon, before, snapshot) = backed_up(8);
    assert!(daemon.terminate().success());
    for pack in blobs(&daemon, "packs") {
        fs::remove_file(&pack).unwrap();
    }
    for file in daemon.files() {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        if name.starts_with("index.db") {
            fs::remove_file(file).unwrap();
        }
    }
    daemon.restart();
    // Nobody takes what is not in the plan for what is not missing.
    let plan = daemon.json(["restore", "plan", "--snapshot", snapshot.as_str()]);
    let warnings = plan["warnings"].as_array().unwrap();
    let of_users = |one: &Value| one.as_str().unwrap().contains("may not have every user:");
    assert!(warnings.iter().any(of_users), "{warnings:?}");
    let repair = job(&daemon, &["store", "repair"], 3);
    let result = &repair["result"];
    assert_eq!(result["whole"], false);
    let lost = result["lost_unnamed"].as_array().unwrap();
    let of_users = lost.iter().find(|one| one["type"] == "user").unwrap();
    assert_eq!(
        of_users,
        &json!({"domain": "acme", "type": "user", "since": snapshot, "versions": before.len()})
    );
    let all: u64 = lost
        .iter()
        .map(|one| one["versions"].as_u64().unwrap())
        .sum();
    assert_eq!(result["versions_lost"], json!(all));
    // The record that told of them is kept.
    let record = format!("/damaged/records/{snapshot}/1");
    let aside = result["set_aside"].as_array().unwrap();
    let kept = |name: &Value| name.as_str().unwrap().ends_with(&record);
    assert!(aside.iter().any(kept), "{aside:?}");
    let report = daemon.json(["jobs", "report", repair["id"].as_str().unwrap()]);
    let items = report["items"].as_array().unwrap();
    let told = items.iter().find(|item| item["type"] == "user").unwrap();
    let detail = told["detail"].as_str().unwrap();
    assert!(detail.contains(&before.len().to_string()), "{detail}");

    // The org still had everything: the newest snapshot is whole, the old one is said not to be.
    let snapshots = daemon.json_lines(["snapshots"]);
    assert_eq!(snapshots[0]["complete"], true);
    assert_eq!(snapshots[1]["id"], json!(snapshot));
    assert_eq!(snapshots[1]["complete"], false);
    let newest = snapshots[0]["id"].as_str().unwrap();
    assert_eq!(users(&daemon, newest).len(), before.len());
    job(&daemon, &["store", "check", "--read-data"], 0);
    job(&daemon, &["store", "repair"], 0);
}

#[test]
fn without_the_org_the_rest_is_saved_and_the_next_repair_goes_on() {
    let (okta, daemon, before, snapshot) = backed_up(8);
    let snapshot = snapshot.as_str();
    for pack in blobs(&daemon, "packs") {
        fs::write(&pack, b"").unwrap();
    }
    okta.rotate_secrets();
    let repair = job(&daemon, &["store", "repair"], 3);
    assert!(repair["result"]["versions_pending"].as_u64().unwrap() >= 8);
    assert_eq!(repair["result"]["versions_lost"], 0);
    assert_eq!(repair["result"]["snapshots"], json!([]));
    job(&daemon, &["store", "check", "--read-data"], 0);
    let arguments = ["domains", "reauthorize", "--api-token-file", "-"];
    daemon.ctl_with(arguments, okta.api_token()).success();
    let repair = job(&daemon, &["store", "repair"], 0);
    assert_eq!(repair["result"]["versions_pending"], 0);
    assert_eq!(contents(users(&daemon, snapshot)), before);
}

#[test]
fn records_checkpoints_markers_keys_and_registrations_are_written_anew() {
    let okta = OktaSim::with_users(8);
    let daemon = TestDaemon::start(&okta);
    for _ in 0..2 {
        daemon.ctl(["backup-now", "--wait"]).success();
    }
    let snapshots = daemon.json_lines(["snapshots"]);
    let oldest = snapshots[1]["id"].as_str().unwrap();
    daemon.ctl(["snapshots", "pin", oldest]).success();
    let pinned = daemon.json_lines(["snapshots"]);
    let before = contents(users(&daemon, oldest));
    for kind in ["records", "checkpoints", "markers", "keys", "registration"] {
        for path in blobs(&daemon, kind) {
            flip(&path);
            let check = job(&daemon, &["store", "check"], 3);
            let problems = check["result"]["problems"].as_array().unwrap();
            assert_eq!(problems.len(), 1, "{kind}: {check}");
            assert_eq!(
                problems[0]["kind"],
                kind.trim_end_matches('s').replace("key", "keys")
            );
            if kind == "records" || kind == "markers" {
                let named = path
                    .iter()
                    .any(|part| problems[0]["snapshots"][0] == json!(part.to_str()));
                assert!(named, "{check}");
            }
            let repair = job(&daemon, &["store", "repair"], 0);
            assert_eq!(
                repair["result"]["rewritten"].as_array().unwrap().len(),
                1,
                "{repair}"
            );
            job(&daemon, &["store", "check", "--read-data"], 0);
        }
    }
    for path in blobs(&daemon, "records") {
        fs::remove_file(&path).unwrap();
    }
    job(&daemon, &["store", "check"], 3);
    job(&daemon, &["store", "repair"], 0);
    daemon.ctl(["store", "reindex"]).success();
    // A record that is written anew may have other bytes.
    let unweighed = |mut snapshots: Vec<Value>| {
        for snapshot in &mut snapshots {
            snapshot["bytes_new"] = Value::Null;
        }
        snapshots
    };
    let after = daemon.json_lines(["snapshots"]);
    assert_eq!(unweighed(after), unweighed(pinned));
    assert_eq!(contents(users(&daemon, oldest)), before);
}

#[test]
fn what_the_daemon_keeps_in_the_store_is_checked_and_written_anew() {
    let (okta, daemon, before, snapshot) = backed_up(8);
    // A restore leaves an id map.
    let gone = &okta.ids("user")[0];
    assert!(okta.admin().delete_user(gone).is_success());
    let plan = daemon.json(["restore", "plan", "--snapshot", &snapshot]);
    let plan = plan["id"].as_str().unwrap();
    daemon.ctl(["restore", "apply", plan, "--wait"]);
    let kept = || -> Vec<PathBuf> {
        let meta = daemon.data().join("store/meta");
        let mut found = daemon.files();
        found.retain(|path| path.starts_with(&meta));
        found.sort();
        found
    };
    let kinds: Vec<&str> = vec!["audit_head", "id_map", "state_key"];
    assert_eq!(kept().len(), kinds.len(), "{:?}", kept());
    for (place, kind) in kinds.iter().enumerate() {
        let path = &kept()[place];
        flip(path);
        let check = job(&daemon, &["store", "check"], 3);
        let problems = check["result"]["problems"].as_array().unwrap();
        assert_eq!(problems.len(), 1, "{kind}: {check}");
        assert_eq!(problems[0]["kind"], *kind, "{check}");
        let blob = problems[0]["blob"].as_str().unwrap();
        assert!(path.to_str().unwrap().contains(blob), "{check}");
        // Without its witness a log is not called intact.
        let verified = daemon.ctl(["audit", "--verify"]);
        assert_eq!(verified.code == Some(0), *kind != "audit_head");
        let repair = job(&daemon, &["store", "repair"], 0);
        assert_eq!(repair["result"]["rewritten"], json!([blob]), "{repair}");
        job(&daemon, &["store", "check"], 0);
        daemon.ctl(["audit", "--verify"]).success();
    }
    fs::remove_file(&kept()[2]).unwrap();
    let check = job(&daemon, &["store", "check"], 3);
    assert_eq!(check["result"]["problems"][0]["kind"], "state_key");
    job(&daemon, &["store", "repair"], 0);
    job(&daemon, &["store", "check"], 0);

    // What was written anew serves a daemon whose state is lost.
    let mut daemon = daemon;
    assert!(daemon.terminate().success());
    for file in ["state.db", "state.db-wal", "state.db-shm"] {
        let _absent = fs::remove_file(daemon.data().join(file));
    }
    daemon.restart();
    assert_eq!(contents(users(&daemon, &snapshot)), before);
    let plan = daemon.json(["restore", "plan", "--snapshot", &snapshot]);
    assert_eq!(plan["actions"]["create"], 0, "{plan}");
    daemon.ctl(["audit", "--verify"]).success();
}

#[test]
fn what_removed_snapshots_needed_is_pruned_and_the_rest_restores() {
    let okta = OktaSim::with_users(60);
    let daemon = TestDaemon::start(&okta);
    daemon.ctl(["backup-now", "--wait"]).success();
    let users_of = okta.dump("user").into_iter();
    let active = users_of.filter(|(_, user)| user["status"] == "ACTIVE");
    let mut changed = 0;
    for (at, (id, _)) in active.enumerate() {
        changed += 1;
        let path = format!("/api/v1/users/{id}");
        let body = json!({"profile": {"title": format!("Title {at}")}});
        assert!(okta.admin().post(&path, body).is_success());
    }
    daemon.ctl(["backup-now", "--wait"]).success();
    let kept = contents(users(&daemon, "latest"));
    let snapshots = daemon.json_lines(["snapshots"]);
    let oldest = snapshots[1]["id"].as_str().unwrap();
    daemon.ctl(["snapshots", "remove", oldest]).success();
    let status = daemon.json(["store", "status"]);
    assert_eq!(status["removed_snapshots"], 1);
    assert!(status["reclaimable_bytes"].as_u64().unwrap() > 0);
    let prune = job(&daemon, &["store", "prune"], 0);
    assert_eq!(prune["kind"], "prune");
    assert_eq!(prune["state"], "succeeded", "{prune}");
    let dropped = prune["result"]["versions_dropped"].as_u64().unwrap();
    assert!(changed > 0 && dropped >= changed, "{prune}");
    assert_eq!(prune["result"]["problems"], json!([]));
    job(&daemon, &["store", "check", "--read-data"], 0);
    assert_eq!(contents(users(&daemon, "latest")), kept);
    daemon.ctl(["store", "reindex"]).success();
    assert_eq!(contents(users(&daemon, "latest")), kept);
    let plan = daemon.json(["restore", "plan", "--snapshot", "latest"]);
    assert_eq!(plan["actions"]["create"], 0, "{plan}");
    assert_eq!(
        job(&daemon, &["store", "prune"], 0)["result"]["problems"],
        json!([])
    );
}

#[test]
fn new_keys_are_for_what_is_new_and_wrapping_anew_changes_nothing_else() {
    let okta = OktaSim::with_users(5);
    let mut daemon = TestDaemon::start(&okta);
    daemon.ctl(["backup-now", "--wait"]).success();
    let before = contents(users(&daemon, "latest"));
    assert_eq!(
        daemon.json(["keys", "rotate"]),
        json!({"domain": "acme", "epoch": 2})
    );
    let wrapped = |daemon: &TestDaemon| fs::read(&blobs(daemon, "keys")[0]).unwrap();
    let rotated = wrapped(&daemon);
    let rewrapped = daemon.json(["keys", "rewrap"]);
    assert_eq!(rewrapped, json!({"domains": ["acme"], "failed": []}));
    assert_ne!(wrapped(&daemon), rotated);
    daemon.ctl(["backup-now", "--wait"]).success();
    assert!(daemon.terminate().success());
    daemon.restart();
    daemon.ctl(["backup-now", "--wait"]).success();
    for snapshot in daemon.json_lines(["snapshots"]) {
        let id = snapshot["id"].as_str().unwrap();
        assert_eq!(contents(users(&daemon, id)), before);
    }
    job(&daemon, &["store", "check", "--read-data"], 0);
    daemon.ctl(["keys", "rotate", "nobody"]).code(6);
    let actions: Vec<Value> = daemon
        .json_lines(["audit"])
        .into_iter()
        .map(|row| row["action"].clone())
        .collect();
    for action in ["keys.rotate", "keys.rewrap"] {
        assert!(actions.contains(&json!(action)), "{action}");
    }
}

#[test]
fn retention_removes_after_scheduled_backups_only_and_a_prune_follows() {
    let okta = OktaSim::with_users(5);
    let mut daemon = TestDaemon::start(&okta);
    let configure = |retention: &str| {
        ["domains", "configure", "acme", "--retention", retention].map(str::to_owned)
    };
    for refused in ["hourly=3", "last=1,last=2", "within=2", "last=0"] {
        daemon.ctl(configure(refused)).code(2);
    }
    let all_rules = "within=48h,last=5,daily=30,weekly=12,monthly=12,yearly=7";
    assert_eq!(daemon.json(configure(all_rules))["retention"], all_rules);
    daemon.ctl(configure("last=1,yearly=7")).success();
    for _ in 0..3 {
        daemon.ctl(["backup-now", "--wait"]).success();
    }
    let manual = daemon.json_lines(["snapshots"]);
    assert_eq!(manual.len(), 3, "manual backups remove nothing");
    let pinned = manual[2]["id"].as_str().unwrap();
    daemon.ctl(["snapshots", "pin", pinned]).success();
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
    let prune = until("a prune follows the scheduled backup", || {
        let jobs = daemon.json_lines(["jobs", "--kind", "prune"]);
        let done = |job: &&Value| job["finished_at"] != Value::Null;
        jobs.iter().find(done).cloned()
    });
    assert_eq!(prune["state"], "succeeded", "{prune}");
    assert_eq!(prune["trigger"], "schedule");
    let backup = &daemon.json_lines(["jobs", "--kind", "backup"])[0];
    assert_eq!(backup["trigger"], "catch_up");
    let removed = backup["result"]["snapshots_removed"].as_array().unwrap();
    assert_eq!(removed, &[manual[1]["id"].clone(), manual[0]["id"].clone()]);
    let left = daemon.json_lines(["snapshots"]);
    let left: Vec<&Value> = left.iter().map(|snapshot| &snapshot["id"]).collect();
    assert_eq!(left, [&backup["result"]["snapshot"], &json!(pinned)]);
    job(&daemon, &["store", "check", "--read-data"], 0);
    let rows = daemon.json_lines(["audit"]);
    let noted = rows
        .iter()
        .filter(|row| row["action"] == "retention.remove");
    assert_eq!(noted.count(), 2);
}

#[test]
fn prune_and_repair_are_for_cloud_admins_and_are_jobs() {
    let daemon = TestDaemon::bare();
    for verb in ["prune", "repair"] {
        let target = format!("/v1/store/{verb}");
        let answer = request(&daemon.socket(), "POST", &target, Some("{}"));
        assert_eq!(answer.status, 202);
        assert_eq!(answer.json()["kind"], verb);
        let id = answer.json()["id"].as_str().unwrap().to_owned();
        let ended = until("the job ends", || {
            let job = daemon.json(["jobs", "show", &id]);
            (job["finished_at"] != Value::Null).then_some(job)
        });
        assert_eq!(ended["state"], "succeeded", "{ended}");
    }
    let jobs = daemon.json_lines(["jobs", "--kind", "repair"]);
    assert_eq!(jobs.len(), 1);
}
