//! A disk that is full, for real: a small file system in memory. Needs root.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use nix::unistd::geteuid;
use okta_sim::OktaSim;
use orgkeep_tests::{Ran, Setup, TestDaemon};
use serde_json::Value;

use crate::{skipped, tell};

/// How much is left free, in bytes: from nothing to what is enough for anything here.
const LEVELS: [u64; 5] = [0, 48 << 10, 160 << 10, 480 << 10, 3 << 20];

/// The daemon's disk, which is small.
struct Disk {
    path: PathBuf,
}

impl Disk {
    /// Mounts it where the daemon keeps its data; `None`, and said why, if that cannot be.
    fn mount(daemon: &TestDaemon, mebibytes: u32) -> Option<Self> {
        if !geteuid().is_root() {
            skipped("only root can mount a small file system");
            return None;
        }
        let path = daemon.data();
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o700)).unwrap();
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o"])
            .arg(format!("size={mebibytes}m,mode=700"))
            .arg("tmpfs")
            .arg(&path);
        if mount.output().is_ok_and(|output| output.status.success()) {
            Some(Self { path })
        } else {
            skipped("no small file system can be mounted here");
            None
        }
    }

    fn filler(&self) -> PathBuf {
        self.path.join("filler")
    }

    /// Fills it up to so many bytes.
    fn fill_but(&self, free: u64) {
        let mut file = File::create(self.filler()).unwrap();
        let mut size = 1 << 20;
        while size > 0 {
            if std::io::Write::write_all(&mut file, &vec![7; size]).is_err() {
                size /= 2;
            }
        }
        let length = file.metadata().unwrap().len();
        file.set_len(length.saturating_sub(free)).unwrap();
    }

    fn free(&self) {
        fs::remove_file(self.filler()).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(&self.path).status();
        assert!(unmounted.is_ok_and(|status| status.success()));
    }
}

/// Everything that a snapshot holds, as a reader sees it.
fn read(daemon: &TestDaemon, snapshot: &str) -> Vec<Value> {
    let lines = daemon.json_lines(["objects", "--snapshot", snapshot]);
    let user = lines.iter().find(|line| line["type"] == "user").unwrap();
    let id = user["id"].as_str().unwrap();
    let shown = daemon.ctl([
        "objects",
        "show",
        "user",
        id,
        "--snapshot",
        snapshot,
        "--json",
    ]);
    // Who reads contents is noted first: where no note can be made, they are not given out.
    assert!(shown.code == Some(0) || is_clear(&shown), "{shown:?}");
    lines
}

fn newest(daemon: &TestDaemon) -> String {
    let newest = daemon.json(["snapshots", "show", "latest"]);
    newest["id"].as_str().unwrap().to_owned()
}

/// Whether it says what an operator must know.
fn is_clear(ran: &Ran) -> bool {
    let text = format!("{}{}", ran.stdout, ran.stderr);
    text.contains("space")
}

#[test]
fn a_disk_that_is_full_stops_jobs_and_nothing_else() {
    let okta = OktaSim::with_users(250);
    let mut daemon = TestDaemon::not_started(Setup::default());
    let Some(disk) = Disk::mount(&daemon, 6) else {
        return;
    };
    daemon.restart();
    daemon.add(&okta, "acme", &["--enable-keys"]).success();
    daemon.ctl(["backup-now", "--wait"]).success();
    disk.fill_but(0);
    okta.admin().delete_user(&okta.ids("user")[0]);
    let failed = daemon.ctl(["backup-now", "--wait", "--json"]);
    assert_ne!(failed.code, Some(0), "{failed:?}");
    daemon.ctl(["status"]).success();
    daemon
        .ctl(["objects", "--snapshot", "latest", "--type", "user"])
        .success();
    assert_eq!(daemon.json_lines(["snapshots"]).len(), 1);
    // Starting on a full disk, too.
    daemon.kill();
    daemon.restart();
    daemon.ctl(["status"]).success();
    disk.free();
    daemon.kill();
    daemon.restart();
    daemon.ctl(["backup-now", "--wait"]).success();
    daemon.ctl(["store", "check", "--read-data"]).success();
    daemon.kill();
}

/// Runs a job with so much space left and so much less, and then with space.
struct Trial<'a> {
    job: &'a [&'a str],
    /// Makes something to do that does not change what is there.
    prepare: fn(&OktaSim, &TestDaemon),
    /// Damages what is there; the job makes it whole.
    hurt: Option<fn(&TestDaemon)>,
}

impl Trial<'_> {
    fn at_each_level(&self, mebibytes: u32) {
        let okta = OktaSim::with_users(30);
        let mut daemon = TestDaemon::not_started(Setup::default());
        let Some(disk) = Disk::mount(&daemon, mebibytes) else {
            return;
        };
        daemon.restart();
        daemon.add(&okta, "acme", &["--enable-keys"]).success();
        daemon.ctl(["backup-now", "--wait"]).success();
        let job = self.job;
        let (mut failed, mut done) = (0, 0);
        for free in LEVELS {
            (self.prepare)(&okta, &daemon);
            let acknowledged = newest(&daemon);
            let before = read(&daemon, &acknowledged);
            let snapshots = daemon.json_lines(["snapshots"]).len();
            if let Some(hurt) = self.hurt {
                hurt(&daemon);
            }
            disk.fill_but(free);
            let ran = daemon.ctl(job.iter().chain(&["--json"]));
            if ran.code == Some(0) {
                done += 1;
            } else {
                assert_eq!(ran.code, Some(1), "{free} free: {ran:?}");
                assert!(is_clear(&ran), "{free} free: {ran:?}");
                failed += 1;
            }
            daemon.ctl(["status"]).success();
            if self.hurt.is_none() {
                assert_eq!(read(&daemon, &acknowledged), before, "{free} free");
            }
            disk.free();
            daemon.ctl(job.iter()).success();
            assert_eq!(read(&daemon, &acknowledged), before, "{free} free");
            assert!(daemon.json_lines(["snapshots"]).len() >= snapshots);
            daemon.ctl(["store", "check", "--read-data"]).success();
        }
        daemon.ctl(["audit", "--verify"]).success();
        tell(&format!(
            "full disk, {}: {failed} levels failed and {done} did not",
            job.join(" ")
        ));
        assert!(
            failed >= 2 && done >= 1,
            "{job:?}: {failed} failed, {done} did not"
        );
        daemon.kill();
    }
}

/// Something that the next backup has to write.
fn delete_a_user(okta: &OktaSim, _: &TestDaemon) {
    let user = okta.ids("user").remove(0);
    assert!(okta.admin().delete_user(&user).is_success());
}

/// Snapshots of which those between are removed: there is something to merge, to move and to delete.
fn leave_something_to_prune(okta: &OktaSim, daemon: &TestDaemon) {
    for _ in 0..3 {
        delete_a_user(okta, daemon);
        daemon.ctl(["backup-now", "--wait", "--full"]).success();
    }
    for between in &daemon.json_lines(["snapshots"])[1..3] {
        let id = between["id"].as_str().unwrap();
        daemon.ctl(["snapshots", "remove", id]).success();
    }
}

/// Changes a bit in the middle of the largest pack.
fn hurt_a_pack(daemon: &TestDaemon) {
    let mut packs = daemon.files();
    packs.retain(|path| path.parent().is_some_and(|dir| dir.ends_with("packs")));
    let largest = packs
        .iter()
        .max_by_key(|path| fs::metadata(path).unwrap().len())
        .unwrap();
    let mut bytes = fs::read(largest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(largest, bytes).unwrap();
}

#[test]
fn a_backup_on_a_disk_filled_to_any_level_fails_clearly_and_succeeds_with_space() {
    Trial {
        job: &["backup-now", "--wait"],
        prepare: delete_a_user,
        hurt: None,
    }
    .at_each_level(8);
}

#[test]
fn a_reindex_on_a_disk_filled_to_any_level_fails_clearly_and_succeeds_with_space() {
    Trial {
        job: &["store", "reindex"],
        prepare: |_, _| {},
        hurt: None,
    }
    .at_each_level(8);
}

#[test]
fn a_prune_on_a_disk_filled_to_any_level_fails_clearly_and_succeeds_with_space() {
    Trial {
        job: &["store", "prune"],
        prepare: leave_something_to_prune,
        hurt: None,
    }
    .at_each_level(12);
}

#[test]
fn a_repair_on_a_disk_filled_to_any_level_fails_clearly_and_succeeds_with_space() {
    Trial {
        job: &["store", "repair"],
        prepare: |_, _| {},
        hurt: Some(hurt_a_pack),
    }
    .at_each_level(12);
}
