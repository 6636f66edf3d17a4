//! Stores that earlier versions left behind are opened, read, added to and rebuilt by the present one.
//!
//! Each directory of `tests/fixtures` named `store-…` holds one: `store.tar.zst`, the data directory as the daemon left it when it
//! ended, and `expected.json`, what the programs that wrote it said about it. `tests/fixtures/README.md` says how they are made.

use std::collections::BTreeMap;
use std::env;
use std::fs::{self, File, Permissions};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use okta_sim::OktaSim;
use orgkeep_tests::wait::until;
use orgkeep_tests::{Setup, TestDaemon};
use serde_json::{Value, json};

use crate::restore::disaster;

/// What the org of every fixture is made from: the same numbers give the same org, ids and credentials.
const USERS: u32 = 60;
const SEED: u64 = 20_261_121;

/// Where the org of every fixture is: a loopback address that nothing else asks for.
const ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 20, 26, 11)), 21_126);

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

/// The org of the fixtures, at the one address that their registrations name. Nobody changes it but who makes a fixture, so the
/// tests of one run share it; another run on the machine makes this one wait.
fn org() -> &'static OktaSim {
    static ORG: OnceLock<OktaSim> = OnceLock::new();
    ORG.get_or_init(|| {
        until("the address of the fixtures' org is free", || {
            OktaSim::builder()
                .users(USERS)
                .seed(SEED)
                .listen(ADDRESS)
                .start()
                .ok()
        })
    })
}

/// An export as one hash: each file by its name, its lines in order of their bytes, so that neither the order of the lines nor that
/// of the files counts.
fn hash_of_export(directory: &Path) -> (BTreeMap<String, usize>, String) {
    let mut hasher = blake3::Hasher::new();
    let mut counts = BTreeMap::new();
    let mut files: Vec<PathBuf> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    for file in files {
        let name = file.file_name().unwrap().to_str().unwrap();
        let text = fs::read_to_string(&file).unwrap();
        let mut lines: Vec<&str> = text.lines().collect();
        lines.sort_unstable();
        counts.insert(name.to_owned(), lines.len());
        hasher.update(name.as_bytes());
        hasher.update(b"\n");
        for line in lines {
            hasher.update(line.as_bytes());
            hasher.update(b"\n");
        }
    }
    (counts, hasher.finalize().to_hex().to_string())
}

/// What is expected of every snapshot, newest first.
fn describe(daemon: &TestDaemon) -> Vec<Value> {
    let snapshots = daemon.json_lines(["snapshots", "acme"]);
    let describe = |snapshot: &Value| {
        let output = tempfile::tempdir().unwrap();
        daemon
            .ctl([
                "export",
                "acme",
                "--snapshot",
                snapshot["id"].as_str().unwrap(),
                "--output",
                output.path().to_str().unwrap(),
            ])
            .success();
        let (lines, blake3) = hash_of_export(output.path());
        let kept = [
            "id",
            "created_at",
            "as_of",
            "parent",
            "complete",
            "pinned",
            "objects",
        ];
        let mut found: BTreeMap<&str, Value> =
            kept.map(|name| (name, snapshot[name].clone())).into();
        found.insert("exported_lines", json!(lines));
        found.insert("export_blake3", json!(blake3));
        json!(found)
    };
    snapshots.iter().map(describe).collect()
}

/// Opens a copy of a fixture's store with the present daemon, after `meddle` had its way with the files; gives what is expected.
fn open(fixture: &Path, meddle: impl Fn(&str) -> bool) -> (TestDaemon, Vec<Value>) {
    let mut daemon = TestDaemon::not_started(Setup::default());
    let packed = File::open(fixture.join("store.tar.zst")).unwrap();
    let plain = zstd::stream::read::Decoder::new(packed).unwrap();
    tar::Archive::new(plain).unpack(daemon.data()).unwrap();
    for file in daemon.files() {
        // Neither archives nor git keep these bits; the daemon insists on them.
        for directory in file
            .ancestors()
            .skip(1)
            .take_while(|path| path.starts_with(daemon.data()))
        {
            fs::set_permissions(directory, Permissions::from_mode(0o700)).unwrap();
        }
        fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
        if meddle(file.file_name().unwrap().to_str().unwrap()) {
            fs::remove_file(file).unwrap();
        }
    }
    daemon.restart();
    if meddle("index.db") {
        daemon.ctl(["store", "reindex"]).success();
    }
    let expected = fs::read_to_string(fixture.join("expected.json")).unwrap();
    let expected: Value = serde_json::from_str(&expected).unwrap();
    (daemon, expected["snapshots"].as_array().unwrap().clone())
}

/// Everything that must hold of a store once it is open, and of the org it is for.
fn assert_whole(daemon: &TestDaemon, okta: &OktaSim, expected: &[Value]) {
    assert_eq!(describe(daemon), expected);
    daemon.ctl(["store", "check", "--read-data"]).success();

    // The org stands as it was made: whatever the snapshots saw of it since is not there, or is there again.
    let oldest = expected.last().unwrap()["id"].as_str().unwrap();
    let newest = expected[0]["id"].as_str().unwrap();
    assert!(!daemon.json_lines(["diff", oldest, newest]).is_empty());
    let plan = daemon.json([
        "restore",
        "plan",
        "acme",
        "--snapshot",
        newest,
        "--mode",
        "additive",
    ]);
    let created = plan["actions"]["create"].as_u64().unwrap();
    assert!(
        created >= 3,
        "what was made after the first snapshot is not in the org: {plan}"
    );

    daemon.ctl(["backup-now", "acme", "--wait"]).success();
    let after = daemon.json_lines(["snapshots", "acme"]);
    assert_eq!(after.len(), expected.len() + 1);
    assert_eq!(after[0]["parent"], expected[0]["id"]);
    assert_eq!(
        daemon
            .json_lines(["objects", "acme", "--snapshot", "latest", "--type", "user"])
            .len(),
        okta.ids("user").len()
    );
    assert_eq!(describe(daemon)[1..], *expected);
    daemon.ctl(["store", "check", "--read-data"]).success();
}

fn each_fixture(meddle: impl Fn(&str) -> bool) {
    let okta = org();
    let mut found = 0;
    for entry in fs::read_dir(fixtures()).unwrap() {
        let fixture = entry.unwrap().path();
        if fixture.join("store.tar.zst").exists() {
            found += 1;
            let (daemon, expected) = open(&fixture, &meddle);
            assert_whole(&daemon, okta, &expected);
        }
    }
    assert!(found > 0, "there are fixtures");
}

#[test]
fn a_store_of_an_earlier_version_is_read_and_added_to() {
    each_fixture(|_| false);
}

#[test]
fn a_store_of_an_earlier_version_comes_back_without_its_index() {
    each_fixture(|name| name.starts_with("index.db"));
}

#[test]
fn a_store_of_an_earlier_version_comes_back_without_the_state() {
    each_fixture(|name| name.starts_with("state.db"));
}

/// Some days in the life of the org: a backup after each.
fn live(okta: &OktaSim, daemon: &TestDaemon) {
    // A backup that finds much of a type gone says so, and pins the snapshot before it.
    let backup = || {
        let ran = daemon.ctl(["backup-now", "acme", "--wait"]);
        assert!(matches!(ran.code, Some(0 | 3)), "{ran:?}");
    };
    let done = |answer: okta_sim::AdminAnswer| assert!(answer.is_success(), "{answer:?}");
    let admin = okta.admin();
    backup();

    // People change, and move from group to group.
    let users: Vec<String> = okta
        .dump("user")
        .into_iter()
        .filter(|(_, user)| user["status"] == "ACTIVE")
        .map(|(id, _)| id)
        .collect();
    for (number, id) in users.iter().take(8).enumerate() {
        let title = json!({"profile": {"title": format!("Keeper of seal {number}")}});
        done(admin.post(&format!("/api/v1/users/{id}"), title));
    }
    let groups: Vec<String> = okta
        .dump("group")
        .into_iter()
        .filter(|(_, group)| group["type"] == "OKTA_GROUP")
        .map(|(id, _)| id)
        .collect();
    for pair in okta.ids("group_member") {
        let (group, user) = pair.split_once('/').unwrap();
        if groups.iter().take(2).any(|known| known == group) {
            let path = |group: &str| format!("/api/v1/groups/{group}/users/{user}");
            admin.delete(&path(group));
            done(admin.put(&path(groups.last().unwrap()), Value::Null));
        }
    }
    backup();

    // Some come, some go.
    for number in 0..3 {
        let profile = json!({
            "firstName": "Robin",
            "lastName": format!("Newcomer {number}"),
            "email": format!("robin.{number}@example.com"),
            "login": format!("robin.{number}@example.com"),
        });
        done(admin.post("/api/v1/users?activate=true", json!({"profile": profile})));
    }
    done(admin.post(
        "/api/v1/groups",
        json!({"profile": {"name": "Newcomers \u{2603}", "description": null}}),
    ));
    for id in users.iter().rev().take(2) {
        done(admin.delete_user(id));
    }
    backup();

    // Nothing happens.
    backup();

    // A bad day.
    disaster(okta);
    backup();

    // Everyone left gets a new department.
    for (id, user) in okta.dump("user") {
        if user["status"] == "ACTIVE" {
            let department = json!({"profile": {"department": "Archive"}});
            done(admin.post(&format!("/api/v1/users/{id}"), department));
        }
    }
    backup();

    let snapshots = daemon.json_lines(["snapshots", "acme"]);
    let nth = |place: usize| snapshots[snapshots.len() - place]["id"].as_str().unwrap();
    daemon.ctl(["snapshots", "remove", nth(2)]).success();
    daemon.ctl(["snapshots", "pin", nth(3)]).success();
    backup();
}

/// Makes a fixture: `tests/fixtures/make-store.sh` runs this with the programs of the commit it is told.
#[test]
#[ignore = "makes a fixture; run by tests/fixtures/make-store.sh"]
fn a_store_is_made() {
    let commit = env::var("ORGKEEP_FIXTURE_COMMIT").unwrap();
    let target = PathBuf::from(env::var_os("ORGKEEP_FIXTURE").unwrap());
    let okta = org();
    let mut daemon = TestDaemon::start(okta);
    // A run that was missed would be caught up when the store is opened, years later.
    daemon.ctl(["domains", "disable-backup", "acme"]).success();
    live(okta, &daemon);
    let expected =
        json!({"commit": commit, "users": USERS, "seed": SEED, "snapshots": describe(&daemon)});
    assert!(daemon.terminate().success());

    fs::create_dir_all(&target).unwrap();
    fs::write(
        target.join("expected.json"),
        serde_json::to_string_pretty(&expected).unwrap() + "\n",
    )
    .unwrap();
    let packed = File::create(target.join("store.tar.zst")).unwrap();
    let mut packed = zstd::stream::write::Encoder::new(packed, 19).unwrap();
    let mut archive = tar::Builder::new(&mut packed);
    archive.mode(tar::HeaderMode::Deterministic);
    archive.append_dir_all(".", daemon.data()).unwrap();
    archive.finish().unwrap();
    drop(archive);
    packed.finish().unwrap().sync_all().unwrap();
}
