//! Crashes and shutdowns: what was acknowledged is there, what was not leaves nothing behind, and
//! jobs go on.

use okta_sim::picture::Picture;
use okta_sim::{Fault, FaultAction, OktaSim};
use orgkeep_tests::TestDaemon;
use orgkeep_tests::wait::{patience, until};
use rusqlite::Connection;
use serde_json::Value;

use crate::backup::lost;
use crate::restore::{disaster, latest, left_to_do};
use crate::tell;

/// Longer than any test: the answer never comes.
const NEVER: FaultAction = FaultAction::Slow { ms: 600_000 };

/// Waits until the org has been asked `count` times.
fn asked(okta: &OktaSim, method: &str, beginning: &str, count: usize) {
    until(
        format!("{method} {beginning} is asked {count} times"),
        || {
            let requests = okta.requests();
            let matching = requests
                .iter()
                .filter(|request| request.method == method && request.path.starts_with(beginning));
            (matching.count() >= count).then_some(())
        },
    );
}

fn end_of(daemon: &TestDaemon, job: &Value) -> Value {
    let id = job["id"].as_str().unwrap();
    until("the job ends", || {
        let job = daemon.json(["jobs", "show", id]);
        job["finished_at"].is_string().then_some(job)
    })
}

/// So many looks in a row without a further write mean that the restore waits for an answer.
const STILL_LOOKS: u32 = 30;

#[test]
fn a_backup_goes_on_after_the_daemon_was_killed_anywhere_in_it() {
    let okta = OktaSim::with_users(60);
    let mut daemon = TestDaemon::start(&okta);
    daemon.ctl(["backup-now", "--wait"]).success();
    let acknowledged = daemon.json_lines(["snapshots"]);
    for (round, (path, nth)) in [
        ("/api/v1/users", 1),
        ("/api/v1/groups/", 4),
        ("/api/v1/apps", 2),
        ("/api/v1/policies", 1),
    ]
    .into_iter()
    .enumerate()
    {
        let id = okta.ids("user").remove(round);
        assert!(okta.admin().delete_user(&id).is_success());
        okta.clear_requests();
        okta.fault(Fault::on("GET", &format!("{path}*"), NEVER).nth(nth).once());
        let job = daemon.json(["backup-now"]);
        asked(&okta, "GET", path, usize::try_from(nth).unwrap());
        daemon.kill();
        okta.clear_faults();
        daemon.restart();
        let ended = end_of(&daemon, &job);
        assert_eq!(ended["state"], "succeeded", "{ended}");
        assert_eq!(lost(&okta, &daemon), [""; 0]);
        let snapshots = daemon.json_lines(["snapshots"]);
        assert_eq!(snapshots.len(), round + 2);
        assert_eq!(snapshots.last(), acknowledged.last());
    }
    daemon.ctl(["store", "check", "--read-data"]).success();
    daemon.ctl(["audit", "--verify"]).success();
}

#[test]
fn a_restore_goes_on_after_the_daemon_was_killed_and_creates_nothing_twice() {
    let okta = OktaSim::with_users(80);
    let mut daemon = TestDaemon::start(&okta);
    daemon.ctl(["backup-now", "--wait"]).success();
    let snapshot = latest(&daemon);
    let before = Picture::of(&okta);
    disaster(&okta);
    let plan = daemon.json(["restore", "plan", "--snapshot", &snapshot]);
    okta.clear_requests();
    // The write happens, and its answer is lost with the daemon.
    for (path, nth) in [
        ("/api/v1/users", 3),
        ("/api/v1/groups", 1),
        ("/api/v1/apps", 1),
    ] {
        okta.fault(
            Fault::on("POST", &format!("{path}*"), NEVER)
                .nth(nth)
                .once(),
        );
    }
    let job = daemon.json(["restore", "apply", plan["id"].as_str().unwrap()]);
    let mut kills = 0;
    loop {
        let (mut writes, mut looks) = (0, 0);
        let stuck = until("the restore is stuck or ended", || {
            let now = daemon.json(["jobs", "show", job["id"].as_str().unwrap()]);
            if now["finished_at"].is_string() {
                return Some(false);
            }
            let seen = okta.write_requests().len();
            looks = if seen > writes { 0 } else { looks + 1 };
            writes = seen;
            (writes > 0 && looks >= STILL_LOOKS).then_some(true)
        });
        if !stuck {
            break;
        }
        kills += 1;
        daemon.kill();
        daemon.restart();
    }
    // Fewer would mean that an answer was not lost; a busy machine may look still once too often.
    assert!((3..=6).contains(&kills), "killed {kills} times");
    let ended = end_of(&daemon, &job);
    assert_eq!(ended["state"], "succeeded", "{ended}");
    let after = Picture::of(&okta);
    assert_eq!(before.missing_in(&after), [""; 0]);
    assert_eq!(after.missing_in(&before), [""; 0]);
    assert_eq!(left_to_do(&daemon, &snapshot), 0);
    assert!(okta.mails().is_empty());
}

#[test]
fn a_daemon_asked_to_end_stops_its_job_and_takes_it_up_again() {
    let okta = OktaSim::with_users(60);
    let mut daemon = TestDaemon::start(&okta);
    okta.fault(
        Fault::on("GET", "/api/v1/groups*", FaultAction::Slow { ms: 3_000 })
            .nth(2)
            .once(),
    );
    okta.clear_requests();
    let job = daemon.json(["backup-now"]);
    asked(&okta, "GET", "/api/v1/groups", 2);
    let status = daemon.terminate();
    assert!(status.success(), "{status}");
    assert!(!daemon.socket().exists(), "the socket is gone");
    okta.clear_faults();
    daemon.restart();
    let ended = end_of(&daemon, &job);
    assert_eq!(ended["state"], "succeeded", "{ended}");
    assert_eq!(lost(&okta, &daemon), [""; 0]);
    assert_eq!(daemon.json_lines(["snapshots"]).len(), 1);
}

#[test]
fn who_follows_a_job_follows_it_through_a_restart() {
    let okta = OktaSim::with_users(40);
    let mut daemon = TestDaemon::start(&okta);
    okta.fault(Fault::on("GET", "/api/v1/apps*", NEVER).nth(2).once());
    okta.clear_requests();
    let mut follower = daemon
        .ctl_command(["backup-now", "--wait", "--json"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    asked(&okta, "GET", "/api/v1/apps", 2);
    daemon.kill();
    okta.clear_faults();
    daemon.restart();
    let status = until("the follower ends", || follower.try_wait().unwrap());
    assert_eq!(status.code(), Some(0));
}

#[test]
fn a_lost_state_file_does_not_cost_the_data() {
    let okta = OktaSim::with_users(20);
    let mut daemon = TestDaemon::start(&okta);
    daemon.ctl(["backup-now", "--wait"]).success();
    let snapshots = daemon.json_lines(["snapshots"]);
    assert!(daemon.terminate().success());
    for file in daemon.files() {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        if name.starts_with("state.db") || name.starts_with("index.db") {
            std::fs::remove_file(file).unwrap();
        }
    }
    daemon.restart();
    assert_eq!(
        daemon.json(["domains", "show", "acme"])["org_id"],
        okta.org_id()
    );
    daemon.ctl(["store", "reindex"]).success();
    assert_eq!(daemon.json_lines(["snapshots"]), snapshots);
    daemon.ctl(["backup-now", "--wait"]).success();
    assert_eq!(daemon.json_lines(["snapshots"]).len(), 2);
}

/// The tables of the state database.
const TABLES: [&str; 8] = [
    "audit",
    "domains",
    "facts",
    "forgotten",
    "id_map",
    "jobs",
    "journal",
    "plans",
];

/// A state database that takes so many rows more; then each of its commits fails.
struct Faults {
    database: Connection,
}

impl Faults {
    fn plan(daemon: &TestDaemon, rows: u64) -> Self {
        let database = Connection::open(daemon.data().join("state.db")).unwrap();
        database.busy_timeout(patience()).unwrap();
        // What refers to nothing is found out at the commit.
        let mut sql = format!(
            "BEGIN IMMEDIATE; CREATE TABLE planned (rows_left INTEGER NOT NULL); INSERT INTO planned VALUES ({rows});
             CREATE TABLE nowhere (id INTEGER PRIMARY KEY);
             CREATE TABLE dangling (id INTEGER REFERENCES nowhere (id) DEFERRABLE INITIALLY DEFERRED);"
        );
        for table in TABLES {
            for act in ["INSERT", "UPDATE", "DELETE"] {
                sql += &format!(
                    "CREATE TRIGGER planned_{table}_{act} AFTER {act} ON {table} BEGIN
                     INSERT INTO dangling SELECT 1 FROM planned WHERE rows_left <= 0;
                     UPDATE planned SET rows_left = rows_left - 1; END;"
                );
            }
        }
        database.execute_batch(&(sql + "COMMIT;")).unwrap();
        Self { database }
    }

    fn begin(&self) -> bool {
        let left = "SELECT rows_left <= 0 FROM planned";
        self.database.query_row(left, [], |row| row.get(0)).unwrap()
    }

    fn end(self) {
        let mut sql = "BEGIN IMMEDIATE;".to_owned();
        for table in TABLES {
            for act in ["INSERT", "UPDATE", "DELETE"] {
                sql += &format!("DROP TRIGGER planned_{table}_{act};");
            }
        }
        sql += "DROP TABLE dangling; DROP TABLE nowhere; DROP TABLE planned; COMMIT;";
        self.database.execute_batch(&sql).unwrap();
    }
}

#[test]
fn a_backup_during_which_commits_of_the_state_fail_costs_nothing() {
    let okta = OktaSim::with_users(10);
    let mut daemon = TestDaemon::start(&okta);
    daemon.ctl(["backup-now", "--wait"]).success();
    let mut acknowledged = daemon.json_lines(["snapshots"]);
    let mut refused = 0;
    for rows in 0.. {
        let faults = Faults::plan(&daemon, rows);
        let asked = daemon.ctl(["backup-now", "--json"]);
        let job = (asked.code == Some(0)).then(|| asked.json());
        let ended = |job: &Value| daemon.json(["jobs", "show", job["id"].as_str().unwrap()]);
        if let Some(job) = &job {
            until("the job ends, or commits fail", || {
                (faults.begin() || ended(job)["finished_at"].is_string()).then_some(())
            });
        } else {
            refused += 1;
        }
        let failed = faults.begin();
        daemon.ctl(["snapshots"]).success();
        daemon.kill();
        faults.end();
        daemon.restart();
        if let Some(job) = &job {
            let job = end_of(&daemon, job);
            assert_eq!(job["state"], "succeeded", "{rows} rows: {job}");
        }
        let listed = daemon.json_lines(["snapshots"]);
        for snapshot in &acknowledged {
            assert!(listed.contains(snapshot), "{rows} rows: {snapshot}");
        }
        acknowledged = listed;
        daemon.ctl(["store", "check"]).success();
        daemon.ctl(["audit", "--verify"]).success();
        if !failed {
            daemon.ctl(["store", "check", "--read-data"]).success();
            assert_eq!(lost(&okta, &daemon), [""; 0]);
            tell(&format!(
                "commits of the state during a backup: {rows} points, {refused} of them before it was taken on"
            ));
            assert!(rows > 3 && refused > 0);
            return;
        }
    }
}

#[test]
fn a_restore_during_which_commits_of_the_state_fail_creates_nothing_twice() {
    let okta = OktaSim::with_users(30);
    let mut daemon = TestDaemon::start(&okta);
    daemon.ctl(["backup-now", "--wait"]).success();
    let snapshot = latest(&daemon);
    let before = Picture::of(&okta);
    disaster(&okta);
    let plan_in = |mode, daemon: &TestDaemon| {
        daemon.json(["restore", "plan", "--snapshot", &snapshot, "--mode", mode])
    };
    let (mut plan, mut planned_again) = (plan_in("missing", &daemon), false);
    let mut job = None;
    // Each time it gets on by some rows.
    let mut points = 0;
    let done = loop {
        let faults = Faults::plan(&daemon, 3 + points * 7);
        if job.is_none() {
            let asked = daemon.ctl(["restore", "apply", plan["id"].as_str().unwrap(), "--json"]);
            job = (asked.code == Some(0)).then(|| asked.json());
        }
        let now = || match &job {
            Some(job) => daemon.json(["jobs", "show", job["id"].as_str().unwrap()]),
            None => Value::Null,
        };
        if job.is_some() {
            until("the job ends, or commits fail", || {
                (faults.begin() || now()["finished_at"].is_string()).then_some(())
            });
        }
        let failed = faults.begin();
        let done = now();
        daemon.kill();
        faults.end();
        daemon.restart();
        daemon.ctl(["store", "check"]).success();
        points += 1;
        if done["state"] == "failed" {
            // A commit of several rows failed, and the one that says so did not. What was made anew counts as surviving now, so that
            // relations of it come back in this mode alone.
            plan = plan_in("additive", &daemon);
            planned_again = true;
            job = None;
        } else if !failed {
            break done;
        }
    };
    let done = end_of(&daemon, &done);
    let held_back = planned_again && done["state"] == "completed_with_errors";
    assert!(done["state"] == "succeeded" || held_back, "{done}");
    let after = Picture::of(&okta);
    // Who was given an app through a group in the meantime keeps it so: the second plan holds the assignment back, and says it.
    let of_note = |line: &&str| !(planned_again && line.starts_with("app_user:"));
    let differences = [before.missing_in(&after), after.missing_in(&before)].concat();
    let differences: Vec<&str> = differences.into_iter().filter(of_note).collect();
    assert_eq!(differences, [""; 0]);
    assert_eq!(left_to_do(&daemon, &snapshot), 0);
    assert!(okta.mails().is_empty());
    daemon.ctl(["audit", "--verify"]).success();
    tell(&format!(
        "commits of the state during a restore: {points} points"
    ));
    assert!(points > 1, "{points}");
}
