//! The socket API as a program other than ours sees it.

use std::io::BufRead;
use std::time::Instant;

use okta_sim::{Fault, FaultAction, OktaSim};
use orgkeep_tests::TestDaemon;
use orgkeep_tests::http::{chunk, open, request};
use orgkeep_tests::wait::{patience, until};
use serde_json::json;

#[test]
fn errors_are_problem_documents() {
    let daemon = TestDaemon::bare();
    for (method, target, body, status) in [
        ("GET", "/v1/nothing", None, 404),
        ("GET", "/v1/domains/nobody", None, 404),
        ("DELETE", "/v1/status", None, 405),
        ("POST", "/v1/domains", Some("{"), 400),
        (
            "POST",
            "/v1/domains",
            Some(r#"{"okta_domain":"x","nonsense":1}"#),
            422,
        ),
        ("GET", "/v1/jobs?state=lost", None, 422),
        ("GET", "/v1/jobs?nonsense=1", None, 422),
        ("POST", "/v1/store/copy", Some("{}"), 404),
        ("POST", "/v1/keys/export-recovery", Some("{}"), 404),
    ] {
        let answer = request(&daemon.socket(), method, target, body);
        let allowed = [status, if status == 422 { 400 } else { status }];
        assert!(
            allowed.contains(&answer.status),
            "{method} {target}: {answer:?}"
        );
        assert_eq!(
            answer.header("content-type"),
            Some("application/problem+json")
        );
        let problem = answer.json();
        assert_eq!(problem["status"], json!(answer.status));
        for field in ["type", "title", "detail", "code"] {
            assert!(problem[field].is_string(), "{field} of {problem}");
        }
    }
}

#[test]
fn lists_have_pages() {
    let okta = OktaSim::with_users(30);
    let daemon = TestDaemon::start(&okta);
    daemon.ctl(["backup-now", "--wait"]).success();
    let snapshot = daemon.json(["snapshots", "show", "latest"]);
    let list = format!(
        "/v1/snapshots/{}/objects?type=user&limit=7",
        snapshot["id"].as_str().unwrap()
    );
    let (mut seen, mut after) = (Vec::new(), None::<String>);
    loop {
        let target = after.map_or_else(|| list.clone(), |after| format!("{list}&after={after}"));
        let answer = request(&daemon.socket(), "GET", &target, None);
        assert_eq!(answer.header("content-type"), Some("application/json"));
        let page = answer.json();
        let items = page["items"].as_array().unwrap();
        assert!(items.len() <= 7);
        seen.extend(
            items
                .iter()
                .map(|item| item["id"].as_str().unwrap().to_owned()),
        );
        let Some(next) = page["next"].as_str() else {
            break;
        };
        after = Some(next.to_owned());
    }
    seen.sort();
    assert_eq!(seen, okta.ids("user"));
    let refused = request(&daemon.socket(), "GET", "/v1/jobs?limit=0", None);
    assert!(matches!(refused.status, 400 | 422), "{refused:?}");
}

#[test]
fn events_are_resumed_after_the_last_one_seen() {
    let okta = OktaSim::with_users(20);
    let daemon = TestDaemon::start(&okta);
    let slow = FaultAction::Slow { ms: 1_500 };
    okta.fault(Fault::on("GET", "/api/v1/apps", slow).once());
    let job = daemon.json(["backup-now"]);
    let target = format!("/v1/jobs/{}/events", job["id"].as_str().unwrap());
    let read = |last: Option<&str>| {
        let headers: Vec<_> = last.iter().map(|id| ("last-event-id", *id)).collect();
        let (head, mut reader) = open(&daemon.socket(), "GET", &target, &headers, None);
        assert_eq!(head.status, 200);
        assert_eq!(head.header("content-type"), Some("text/event-stream"));
        let mut text = Vec::new();
        let start = Instant::now();
        while let Some(chunk) = chunk(&mut reader) {
            assert!(start.elapsed() < patience(), "the stream ends with the job");
            text.extend(chunk);
        }
        let ids = text.lines().map_while(Result::ok);
        let ids = ids.filter_map(|line| line.strip_prefix("id:").map(|id| id.trim().to_owned()));
        ids.collect::<Vec<_>>()
    };
    let all = read(None);
    assert!(
        all.len() >= 2,
        "a job that runs is told as it goes: {all:?}"
    );
    for (place, id) in all.iter().enumerate() {
        let resumed = read(Some(id));
        assert!(
            resumed.starts_with(&all[place + 1..]),
            "after {id} of {all:?}: {resumed:?}"
        );
    }
}

#[test]
fn the_api_describes_itself() {
    let daemon = TestDaemon::bare();
    let document = request(&daemon.socket(), "GET", "/v1/openapi.json", None).json();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    for path in [
        "/v1/status",
        "/v1/domains",
        "/v1/domains/{d}/backups",
        "/v1/jobs/{j}/events",
    ] {
        assert!(document["paths"][path].is_object(), "{path}");
    }
    let metrics = request(&daemon.socket(), "GET", "/metrics", None);
    assert_eq!(metrics.status, 200);
    let text = String::from_utf8(metrics.body).unwrap();
    assert!(text.contains("# TYPE orgkeep_"), "{text}");
}

#[test]
fn every_act_is_in_the_audit_log_whose_breaks_are_found() {
    let okta = OktaSim::with_users(5);
    let mut daemon = TestDaemon::start(&okta);
    daemon.ctl(["backup-now", "--wait"]).success();
    let rows = daemon.json_lines(["audit"]);
    let acts: Vec<_> = rows
        .iter()
        .map(|row| row["action"].as_str().unwrap())
        .collect();
    for act in ["domain.add", "backup.start"] {
        assert!(acts.contains(&act), "{act}: {acts:?}");
    }
    let row = rows
        .iter()
        .find(|row| row["action"] == "domain.add")
        .unwrap();
    let mut fields: Vec<_> = row
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    fields.sort_unstable();
    assert_eq!(
        fields,
        [
            "action", "at", "gid", "outcome", "pid", "seq", "target", "uid"
        ]
    );
    assert_eq!(daemon.json(["audit", "--verify"])["intact"], true);
    assert!(daemon.terminate().success());
    let state = daemon.data().join("state.db");
    let database = rusqlite::Connection::open(state).unwrap();
    let changed = database.execute("UPDATE audit SET outcome = 'nothing' WHERE seq = 1", []);
    assert_eq!(changed.unwrap(), 1);
    drop(database);
    daemon.restart();
    let broken = daemon.ctl(["audit", "--verify", "--json"]).code(1).json();
    assert_eq!(
        (&broken["intact"], &broken["broken_at"]),
        (&json!(false), &json!(1))
    );
}

#[test]
fn a_scheduled_backup_runs_by_itself() {
    let okta = OktaSim::with_users(5);
    let daemon = TestDaemon::start(&okta);
    daemon
        .ctl(["domains", "configure", "--schedule", "* * * * *"])
        .success();
    let card = daemon.json(["domains", "show"]);
    assert!(card["next_backup_at"].is_string(), "{card}");
    let status = daemon.json(["status"]);
    assert_eq!(status["next_runs"][0]["domain"], "acme", "{status}");
    let job = until("the schedule starts a backup", || {
        daemon.json_lines(["jobs", "--kind", "backup"]).pop()
    });
    assert_eq!(job["trigger"], "schedule");
}
