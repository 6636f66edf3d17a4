//! Sentences of the public interface that are easily broken: at the edges of the socket API and of the exit codes.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::unistd::geteuid;
use okta_sim::OktaSim;
use orgkeep_tests::TestDaemon;
use orgkeep_tests::http::request;
use serde_json::json;

use crate::skipped;

/// Nobody that the machine knows by this number has a role.
const STRANGER_UID: u32 = 54_321;

#[test]
fn whatever_cannot_be_read_is_a_problem_document() {
    let daemon = TestDaemon::start(&OktaSim::with_users(5));
    let large = "x".repeat(3 << 20);
    for (method, target, body, statuses) in [
        ("GET", "/v1/domains/%ff", None, &[400u16, 404] as &[u16]),
        ("GET", "/v1/jobs?domain=%ff", None, &[400, 404]),
        ("GET", "/v1/jobs?after=x", None, &[400]),
        ("GET", "/v1/jobs?limit=x", None, &[400]),
        (
            "POST",
            "/v1/domains/acme/backups",
            Some("[\"full\"]"),
            &[400, 422],
        ),
        ("POST", "/v1/domains/acme/backups", Some("[]"), &[400, 422]),
        ("POST", "/v1/store/check", Some(large.as_str()), &[413]),
    ] {
        let answer = request(&daemon.socket(), method, target, body);
        assert!(
            statuses.contains(&answer.status),
            "{method} {target}: {answer:?}"
        );
        assert_eq!(
            answer.header("content-type"),
            Some("application/problem+json"),
            "{method} {target}"
        );
        assert_eq!(answer.json()["status"], json!(answer.status));
    }
    assert!(
        daemon.json_lines(["jobs"]).is_empty(),
        "nothing was started"
    );
}

#[test]
fn with_json_what_was_removed_is_the_one_document() {
    let okta = OktaSim::with_users(5);
    let daemon = TestDaemon::start(&okta);
    daemon.ctl(["backup-now", "--wait"]).success();
    let snapshot = daemon.json(["snapshots", "show", "latest"]);
    let id = snapshot["id"].as_str().unwrap();
    assert_eq!(daemon.json(["snapshots", "remove", id]), snapshot);
    daemon.ctl(["snapshots", "remove", id]).code(6);
    let removed = daemon.json(["domains", "remove", "acme", "--yes", "acme"]);
    assert_eq!(removed["name"], "acme");
    assert!(daemon.json_lines(["domains"]).is_empty());
}

#[test]
fn a_difference_with_an_org_that_refuses_us_is_a_failure_that_says_so() {
    let okta = OktaSim::with_users(5);
    let daemon = TestDaemon::start(&okta);
    daemon.ctl(["backup-now", "--wait"]).success();
    okta.rotate_secrets();
    let refused = daemon.ctl(["diff", "latest", "live", "--json"]).code(1);
    assert_eq!(refused.stdout, "");
    assert_eq!(refused.problem()["code"], "unauthorized");
}

#[test]
fn a_type_that_does_not_exist_is_wrong_usage_everywhere() {
    let okta = OktaSim::with_users(5);
    let daemon = TestDaemon::start(&okta);
    daemon.ctl(["backup-now", "--wait"]).success();
    for command in [
        &["objects", "--snapshot", "latest", "--type", "robot"] as &[&str],
        &["objects", "show", "robot", "x", "--snapshot", "latest"],
        &["objects", "history", "robot", "x"],
        &["restore", "plan", "--snapshot", "latest", "--type", "robot"],
        &["restore", "plan", "--snapshot", "latest", "--id", "robot/x"],
        &["domains", "configure", "--types", "robot"],
    ] {
        daemon.ctl(command).code(2);
    }
}

#[test]
fn strangers_learn_nothing_and_cannot_fill_the_audit_log() {
    if !geteuid().is_root() {
        return skipped("only root can be someone else");
    }
    let mut daemon = TestDaemon::bare();
    fs::set_permissions(daemon.directory(), Permissions::from_mode(0o755)).unwrap();
    let script = "
        for request in '/v1/nothing' '/v1/domains/%ff' '/v1/jobs?domain=%ff' '/v1/status'; do
            curl --silent --output /dev/null --write-out '%{http_code} ' --unix-socket \"$0\" \"http://d$request\"
        done
        curl --silent --output /dev/null --unix-socket \"$0\" 'http://d/v1/jobs?n=[1-150]'";
    let mut command = Command::new("sh");
    command.args(["-c", script]).arg(daemon.socket());
    let Ok(ran) = command.uid(STRANGER_UID).gid(STRANGER_UID).output() else {
        return skipped("there is no shell");
    };
    let told = String::from_utf8_lossy(&ran.stdout).into_owned();
    if told.is_empty() {
        return skipped("there is no curl");
    }
    assert_eq!(told, "403 403 403 403 ");
    daemon.terminate();
    daemon.restart();
    let rows = daemon.json_lines(["audit"]);
    let own = rows
        .iter()
        .filter(|row| row["uid"] == json!(STRANGER_UID) && row["action"] != "refusals.more");
    assert_eq!(own.count(), 100, "each is a row, up to a bound");
    let more = rows
        .iter()
        .find(|row| row["action"] == "refusals.more")
        .unwrap();
    assert_eq!(more["target"], "54", "what goes beyond is counted");
    assert_eq!(daemon.json(["audit", "--verify"])["intact"], json!(true));
}
