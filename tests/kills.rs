//! The daemon is killed at random moments of its work, again and again.
//!
//! Twelve kills, or as many as `ORGKEEP_TEST_KILLS` says; their moments follow from `ORGKEEP_TEST_SEED`, as far as a
//! machine's pace can be repeated. After each: what was acknowledged is there as it was, a check finds nothing, and the
//! job comes to its end. Hundreds of kills take some minutes:
//!
//! ```text
//! ORGKEEP_TEST_KILLS=300 cargo test -p orgkeep-tests -- kills:: --nocapture
//! ```

use std::thread;
use std::time::{Duration, Instant};

use okta_sim::picture::Picture;
use okta_sim::{Fault, FaultAction, OktaSim};
use orgkeep_tests::TestDaemon;
use orgkeep_tests::wait::until;
use serde_json::Value;

use crate::backup::lost;
use crate::restore::{disaster, latest, left_to_do};
use crate::{setting, skipped, tell};

/// How many stories share the kills.
const STORIES: u64 = 3;

/// Random moments.
struct Moments {
    state: u64,
    seed: u64,
}

impl Moments {
    fn new() -> Self {
        let seed = setting("ORGKEEP_TEST_SEED", 20_261_121);
        Self { state: seed, seed }
    }

    fn below(&mut self, end: u64) -> u64 {
        // SplitMix64.
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }

    /// Lets up to `longest` go by.
    fn pass(&mut self, longest: Duration) {
        let micros = u64::try_from(longest.as_micros()).unwrap().max(1);
        thread::sleep(Duration::from_micros(self.below(micros)));
    }
}

fn kills() -> u64 {
    setting("ORGKEEP_TEST_KILLS", 12).div_ceil(STORIES)
}

fn job_now(daemon: &TestDaemon, job: &Value) -> Value {
    daemon.json(["jobs", "show", job["id"].as_str().unwrap()])
}

fn ended(daemon: &TestDaemon, job: &Value) -> Value {
    until("the job ends", || {
        let job = job_now(daemon, job);
        job["finished_at"].is_string().then_some(job)
    })
}

/// What a snapshot holds; the order is that in which it lies in the store.
fn objects(daemon: &TestDaemon, snapshot: &str) -> Vec<Value> {
    let mut objects = daemon.json_lines(["objects", "--snapshot", snapshot]);
    objects.sort_by_key(|line| (line["type"].to_string(), line["id"].to_string()));
    objects
}

/// Each snapshot that was acknowledged, with what it holds.
type Acknowledged = Vec<(Value, Vec<Value>)>;

/// Whether all that was acknowledged is there, newest first; what a snapshot holds is read of one of them.
fn still_there(daemon: &TestDaemon, acknowledged: &Acknowledged, moments: &mut Moments) {
    let listed = daemon.json_lines(["snapshots"]);
    for (snapshot, _) in acknowledged {
        assert!(listed.contains(snapshot), "{snapshot} is listed");
    }
    let one = moments.below(acknowledged.len() as u64);
    let (snapshot, held) = &acknowledged[usize::try_from(one).unwrap()];
    assert_eq!(&objects(daemon, snapshot["id"].as_str().unwrap()), held);
}

#[test]
fn a_backup_killed_at_random_moments_loses_nothing() {
    let okta = OktaSim::with_users(20);
    let mut daemon = TestDaemon::start(&okta);
    let mut moments = Moments::new();
    let start = Instant::now();
    daemon.ctl(["backup-now", "--wait"]).success();
    let takes = start.elapsed();
    let mut acknowledged: Acknowledged = Vec::new();
    let (mut killed, mut in_the_middle) = (0, 0);
    while killed < kills() {
        for snapshot in daemon.json_lines(["snapshots"]) {
            if !acknowledged.iter().any(|(known, _)| *known == snapshot) {
                let held = objects(&daemon, snapshot["id"].as_str().unwrap());
                acknowledged.push((snapshot, held));
            }
        }
        let users: Vec<String> = okta
            .dump("user")
            .into_iter()
            .filter(|(_, user)| user["status"] == "ACTIVE")
            .map(|(id, _)| id)
            .collect();
        let user = &users[usize::try_from(moments.below(users.len() as u64)).unwrap()];
        let path = format!("/api/v1/users/{user}");
        let profile = serde_json::json!({"profile": {"nickName": format!("n{killed}")}});
        assert!(okta.admin().post(&path, profile).is_success());
        let job = daemon.json(["backup-now", "--full"]);
        // Once or twice: a daemon that has just been started is not safe either.
        loop {
            moments.pass(takes);
            let was = job_now(&daemon, &job);
            daemon.kill();
            killed += 1;
            in_the_middle += u64::from(!was["finished_at"].is_string());
            daemon.restart();
            if moments.below(3) > 0 {
                break;
            }
        }
        daemon.ctl(["store", "check", "--read-data"]).success();
        still_there(&daemon, &acknowledged, &mut moments);
        let job = ended(&daemon, &job);
        assert_eq!(job["state"], "succeeded", "{job}");
        assert_eq!(lost(&okta, &daemon), [""; 0]);
        let new = daemon.json_lines(["snapshots"]).len() - acknowledged.len();
        assert!((1..=2).contains(&new), "{new} new snapshots");
    }
    daemon.ctl(["store", "check", "--read-data"]).success();
    daemon.ctl(["audit", "--verify"]).success();
    let listed = daemon.json_lines(["snapshots"]);
    daemon.ctl(["store", "reindex"]).success();
    assert_eq!(daemon.json_lines(["snapshots"]), listed);
    still_there(&daemon, &acknowledged, &mut moments);
    tell(&format!(
        "backup: {killed} kills, {in_the_middle} of them before its end (seed {})",
        moments.seed
    ));
    assert!(in_the_middle * 3 >= killed, "{in_the_middle} of {killed}");
}

#[test]
fn a_restore_killed_at_random_moments_creates_nothing_twice() {
    let okta = OktaSim::with_users(30);
    let mut daemon = TestDaemon::start(&okta);
    let mut moments = Moments::new();
    let mut killed = 0;
    let (mut rounds, mut given_up) = (0, 0);
    while killed < kills() {
        rounds += 1;
        let backup = daemon.ctl(["backup-now", "--wait"]);
        // What a restore made anew has new ids: it looks as if many objects were gone, which is said once.
        let mut lines = backup.stderr.lines();
        let is_noted = lines.all(|line| line.contains("are gone since the previous snapshot"));
        assert!(is_noted && matches!(backup.code, Some(0 | 3)), "{backup:?}");
        let snapshot = latest(&daemon);
        let before = Picture::of(&okta);
        disaster(&okta);
        let plan = daemon.json(["restore", "plan", "--snapshot", &snapshot]);
        // Slow enough for kills between a request and its answer.
        for method in ["POST", "PUT"] {
            okta.fault(Fault::on(method, "/api/v1/*", FaultAction::Slow { ms: 25 }));
        }
        let job = daemon.json(["restore", "apply", plan["id"].as_str().unwrap()]);
        while killed < kills() && !job_now(&daemon, &job)["finished_at"].is_string() {
            moments.pass(Duration::from_millis(500));
            daemon.kill();
            killed += 1;
            daemon.restart();
            daemon.ctl(["store", "check", "--read-data"]).success();
        }
        let mut job = ended(&daemon, &job);
        okta.clear_faults();
        if job["error"]["code"] == "interrupted" {
            // A job that is killed too often before it gets on is given up; the operator plans again what is left, which takes more
            // than creating: users may be there, and not active yet.
            given_up += 1;
            let plan = daemon.json([
                "restore",
                "plan",
                "--snapshot",
                &snapshot,
                "--mode",
                "additive",
            ]);
            job = daemon.json(["restore", "apply", plan["id"].as_str().unwrap(), "--wait"]);
        }
        assert_eq!(job["state"], "succeeded", "{job}");
        let after = Picture::of(&okta);
        let context = format!("round {rounds}, {killed} kills, {given_up} given up");
        assert_eq!(before.missing_in(&after), [""; 0], "{context}");
        assert_eq!(after.missing_in(&before), [""; 0], "{context}");
        assert_eq!(left_to_do(&daemon, &snapshot), 0);
        assert!(okta.mails().is_empty());
    }
    daemon.ctl(["audit", "--verify"]).success();
    tell(&format!(
        "restore: {killed} kills in {rounds} restores, {given_up} of them given up and planned again (seed {})",
        moments.seed
    ));
}

#[test]
fn a_prune_killed_at_random_moments_costs_no_snapshot() {
    let okta = OktaSim::with_users(20);
    let mut daemon = TestDaemon::start(&okta);
    if daemon.ctl(["store", "prune", "--help"]).code == Some(2) {
        return skipped("this program cannot prune");
    }
    let mut moments = Moments::new();
    let mut killed = 0;
    daemon.ctl(["backup-now", "--wait"]).success();
    while killed < kills() {
        let rounds = (kills() - killed).min(8);
        for round in 0..=rounds {
            let users = okta.dump("user").into_iter();
            let active: Vec<String> = users
                .filter(|(_, user)| user["status"] == "ACTIVE")
                .map(|(id, _)| id)
                .collect();
            let path = format!("/api/v1/users/{}", active[0]);
            let profile = serde_json::json!({"profile": {"nickName": format!("{killed} {round}")}});
            assert!(okta.admin().post(&path, profile).is_success());
            daemon.ctl(["backup-now", "--wait"]).success();
        }
        for _ in 0..rounds {
            let snapshots = daemon.json_lines(["snapshots"]);
            let id = |at: usize| snapshots[at]["id"].as_str().unwrap();
            let oldest = snapshots.len() - 1;
            let between = moments.below(oldest as u64 - 1);
            let gone = id(1 + usize::try_from(between).unwrap());
            daemon.ctl(["snapshots", "remove", gone]).success();
            let (newest, oldest) = (id(0), id(oldest));
            let held = [newest, oldest].map(|snapshot| objects(&daemon, snapshot));
            let mut pruning = daemon
                .ctl_command(["store", "prune", "--json"])
                .stdout(std::process::Stdio::null())
                .stderr(std::process::Stdio::null())
                .spawn()
                .unwrap();
            moments.pass(Duration::from_millis(250));
            daemon.kill();
            killed += 1;
            // It follows the job, which it may find again or not.
            pruning.kill().unwrap();
            pruning.wait().unwrap();
            daemon.restart();
            daemon.ctl(["store", "check", "--read-data"]).success();
            daemon.ctl(["store", "prune"]).success();
            daemon.ctl(["store", "check", "--read-data"]).success();
            let found = [newest, oldest].map(|snapshot| objects(&daemon, snapshot));
            assert_eq!(found, held);
        }
    }
    tell(&format!("prune: {killed} kills (seed {})", moments.seed));
}
