//! Snapshots and the objects in them: how they are named, listed, protected and forgotten.

use okta_sim::OktaSim;
use orgkeep_tests::TestDaemon;
use serde_json::{Value, json};

#[test]
fn snapshots_are_named_by_id_prefix_latest_and_time() {
    let okta = OktaSim::with_users(10);
    let daemon = TestDaemon::start(&okta);
    daemon.ctl(["snapshots", "show", "latest"]).code(6);
    for _ in 0..2 {
        daemon.ctl(["backup-now", "--wait"]).success();
    }
    let all = daemon.json_lines(["snapshots"]);
    let (newest, oldest) = (&all[0], &all[1]);
    let id = oldest["id"].as_str().unwrap();
    assert_eq!(&daemon.json(["snapshots", "show", id]), oldest);
    assert_eq!(&daemon.json(["snapshots", "show", "latest"]), newest);
    let common = id.chars().zip(newest["id"].as_str().unwrap().chars());
    let common = common.take_while(|(one, other)| one == other).count();
    assert_eq!(&daemon.json(["snapshots", "show", &id[..=common]]), oldest);
    if common > 0 {
        daemon.ctl(["snapshots", "show", &id[..common]]).code(2);
    }
    let at = format!("@{}", oldest["as_of"].as_str().unwrap());
    assert_eq!(&daemon.json(["snapshots", "show", &at]), oldest);
    assert_eq!(
        &daemon.json(["snapshots", "show", "@2100-01-01T01:00:00+01:00"]),
        newest
    );
    daemon
        .ctl(["snapshots", "show", "@2000-01-01T00:00:00Z"])
        .code(6);
    daemon.ctl(["snapshots", "show", "@yesterday"]).code(2);
    daemon
        .ctl(["snapshots", "show", "ffffffffffffffff"])
        .code(6);
    daemon.ctl(["snapshots", "nobody"]).code(6);
}

#[test]
fn snapshots_are_pinned_and_forgotten() {
    let okta = OktaSim::with_users(10);
    let daemon = TestDaemon::start(&okta);
    for _ in 0..3 {
        daemon.ctl(["backup-now", "--wait"]).success();
    }
    let all = daemon.json_lines(["snapshots"]);
    let middle = all[1]["id"].as_str().unwrap();
    for _ in 0..2 {
        assert_eq!(daemon.json(["snapshots", "pin", middle])["pinned"], true);
    }
    assert_eq!(daemon.json(["snapshots", "unpin", middle])["pinned"], false);
    daemon.ctl(["snapshots", "remove", middle]).success();
    daemon.ctl(["snapshots", "remove", middle]).code(6);
    assert_eq!(daemon.json_lines(["snapshots"]).len(), 2);
    // What was forgotten stays forgotten, and the others whole.
    daemon.ctl(["store", "reindex"]).success();
    assert_eq!(daemon.json_lines(["snapshots"]).len(), 2);
    daemon.ctl(["store", "check", "--read-data"]).success();
    let objects = daemon.json_lines(["objects", "--snapshot", "latest", "--type", "user"]);
    assert_eq!(objects.len(), okta.ids("user").len());
}

#[test]
fn objects_are_listed_by_type_and_by_part_of_a_name() {
    let okta = OktaSim::with_users(40);
    let daemon = TestDaemon::start(&okta);
    daemon.ctl(["backup-now", "--wait"]).success();
    let users = okta.dump("user");
    let (id, login) = users
        .iter()
        .map(|(id, user)| {
            (
                id.clone(),
                user["profile"]["login"].as_str().unwrap().to_owned(),
            )
        })
        .next()
        .unwrap();
    let list = |arguments: &[&str]| {
        let fixed = ["objects", "acme", "--snapshot", "latest"];
        daemon.json_lines(fixed.iter().chain(arguments))
    };
    assert_eq!(list(&["--type", "user"]).len(), users.len());
    for text in [login.to_uppercase(), id.to_lowercase()] {
        let found = list(&["--type", "user", "--match", &text]);
        assert_eq!(found.len(), 1, "{text}: {found:?}");
        assert_eq!(
            (&found[0]["id"], &found[0]["name"]),
            (&json!(id), &json!(login))
        );
    }
    assert!(list(&["--match", "there is no such thing"]).is_empty());
    daemon
        .ctl(["objects", "--snapshot", "latest", "--type", "nonsense"])
        .code(2);
    let member = okta.ids("group_member").remove(0);
    let found = list(&["--type", "group_member"]);
    let found = found
        .iter()
        .find(|line| line["id"] == json!(member))
        .unwrap();
    assert_eq!(found["name"], Value::Null);
    daemon
        .ctl([
            "objects",
            "show",
            "group_member",
            &member,
            "--snapshot",
            "latest",
        ])
        .success();
    let history = daemon.json_lines(["objects", "history", "group_member", &member]);
    assert_eq!(history.len(), 1);
    daemon
        .ctl(["objects", "history", "user", "00unobody"])
        .code(6);
}

#[test]
fn the_store_is_rebuilt_from_itself() {
    let okta = OktaSim::with_users(300);
    let mut daemon = TestDaemon::start(&okta);
    daemon.ctl(["backup-now", "--wait"]).success();
    let ids = okta.ids("user");
    for id in ids.iter().take(3) {
        assert!(okta.admin().delete_user(id).is_success());
        daemon.ctl(["backup-now", "--wait"]).success();
    }
    let id = &ids[2];
    let taken = daemon.json_lines(["snapshots"]);
    let second = taken[2]["id"].as_str().unwrap();
    daemon.ctl(["snapshots", "remove", second]).success();
    let (snapshots, objects) = (
        daemon.json_lines(["snapshots"]),
        daemon.json_lines(["objects", "--snapshot", "latest"]),
    );
    assert_eq!(snapshots.len(), 3);
    let lose_index = |daemon: &TestDaemon| {
        for file in daemon.files() {
            let name = file.file_name().unwrap().to_string_lossy().into_owned();
            if name.starts_with("index.db") {
                std::fs::remove_file(file).unwrap();
            }
        }
    };
    // As soon as the daemon answers, it answers by the whole index, whatever is asked first.
    for first in ["snapshots", "objects", "store", "domains"] {
        assert!(daemon.terminate().success());
        lose_index(&daemon);
        daemon.restart();
        match first {
            "snapshots" => assert_eq!(daemon.json_lines(["snapshots"]), snapshots),
            "objects" => assert_eq!(
                daemon.json_lines(["objects", "--snapshot", "latest"]),
                objects
            ),
            "store" => assert_eq!(daemon.json(["store", "status"])["snapshots"], 3),
            _ => assert_eq!(
                daemon.json(["domains", "show", "acme"])["last_good_snapshot"],
                snapshots[0]["id"]
            ),
        }
    }
    daemon.ctl(["store", "reindex"]).success();
    assert_eq!(daemon.json_lines(["snapshots"]), snapshots);
    assert_eq!(
        daemon.json_lines(["objects", "--snapshot", "latest"]),
        objects
    );
    let from = snapshots[1]["id"].as_str().unwrap();
    let removed = daemon.json_lines(["diff", from, "latest"]);
    assert!(
        removed
            .iter()
            .any(|line| line["change"] == "removed" && line["id"] == json!(id))
    );
}

#[test]
fn damage_is_found() {
    let okta = OktaSim::with_users(20);
    let mut daemon = TestDaemon::start(&okta);
    daemon.ctl(["backup-now", "--wait"]).success();
    daemon.ctl(["store", "check"]).success();
    daemon.ctl(["store", "check", "--read-data"]).success();
    assert!(daemon.terminate().success());
    let largest = daemon
        .files()
        .into_iter()
        .filter(|file| file.starts_with(daemon.data().join("store")))
        .max_by_key(|file| file.metadata().unwrap().len())
        .unwrap();
    let mut bytes = std::fs::read(&largest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&largest, bytes).unwrap();
    daemon.restart();
    let ran = daemon.ctl(["store", "check", "--read-data", "--json"]);
    assert!(matches!(ran.code, Some(1 | 3)), "{ran:?}");
    let problems = ran.json()["result"]["problems"].as_array().unwrap().len();
    assert!(problems > 0, "{ran:?}");
}
