//! Orgkeep's own rows: the real daemon, asked over its socket, the org served over HTTP.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use okta_sim::OktaSim;
use serde_json::Value;

use super::figures::{Figures, MIB, Target, float, median};
use crate::backup::{job_seconds, register};
use crate::installation::Installation;
use crate::measured::{Cost, start};
use crate::socket::Socket;

/// How often one object is read by a whole `orgkeepctl`, and within the daemon.
const CTL_READS: usize = 25;
const DAEMON_READS: usize = 300;
/// How often each diff is asked for, unless the first answers took so long together; and how long one may take before its
/// stream is broken off.
const DIFFS: usize = 5;
const DIFFS_BUDGET: Duration = Duration::from_secs(15);
const DIFF_BUDGET: Duration = Duration::from_secs(60);
/// How long a check or an export may take.
const JOB_BUDGET: Duration = Duration::from_secs(300);

/// The daemon, and what was measured of it.
#[derive(Debug)]
pub(super) struct Orgkeep {
    pub(super) installation: Installation,
    pub(super) figures: Figures,
    /// The snapshots' ids, oldest first.
    snapshots: Vec<String>,
    /// What it held before the first backup, in bytes.
    idle_bytes: u64,
    /// How many objects the last snapshot holds, and how many each later day changed.
    pub(super) objects: u64,
    pub(super) changes: Vec<u64>,
    /// The requests of each backup, and the fewest that list everything once.
    requests: Vec<(u64, u64)>,
    reads: Reads,
}

/// What is measured within the daemon.
#[derive(Debug, Clone, Default)]
struct Reads {
    ctl_wall: Option<f64>,
    daemon_wall: Option<f64>,
    diff_plain: Vec<PerChange>,
    diff_attributes: Vec<PerChange>,
}

/// What a diff cost, by change.
#[derive(Debug, Clone, Copy)]
struct PerChange {
    changes: u64,
    wall_seconds: f64,
    /// Whether that are all; otherwise the stream was broken off when its time was up.
    whole: bool,
}

impl Orgkeep {
    /// A running daemon that knows the org.
    pub(super) fn start(okta: &OktaSim, already_built: bool) -> anyhow::Result<Self> {
        let installation = Installation::start(already_built)?;
        register(&installation, okta)?;
        installation.forget_peak()?;
        Ok(Self {
            idle_bytes: installation.usage()?.memory_peak_bytes,
            figures: Figures {
                name: "Orgkeep (daemon, over HTTP)".to_owned(),
                encrypted: true,
                ..Figures::default()
            },
            installation,
            snapshots: Vec::new(),
            objects: 0,
            changes: Vec::new(),
            requests: Vec::new(),
            reads: Reads::default(),
        })
    }

    /// The day's backup.
    pub(super) fn back_up(&mut self, okta: &OktaSim) -> anyhow::Result<()> {
        okta.clear_requests();
        let before = self.installation.usage()?;
        self.installation.forget_peak()?;
        let job = self
            .installation
            .ctl(&["backup-now", "bench", "--full", "--wait"])?;
        let after = self.installation.usage()?;
        let cost = Cost {
            cpu_seconds: after.cpu_seconds - before.cpu_seconds,
            wall_seconds: job_seconds(&job)?,
            peak_bytes: after.memory_peak_bytes,
        };
        let requests = job.pointer("/progress/requests").and_then(Value::as_u64);
        let fewest = okta.minimum_requests().values().sum::<usize>() as u64;
        self.requests
            .push((requests.context("a job without requests")?, fewest));
        okta.clear_requests();
        let made = |field: &str| job.pointer(&format!("/result/{field}"));
        let snapshot = made("snapshot").and_then(Value::as_str);
        self.snapshots
            .push(snapshot.context("a job without snapshot")?.to_owned());
        self.objects = made("objects").and_then(Value::as_u64).unwrap_or_default();
        if self.figures.first.is_none() {
            self.figures.first = Some(cost);
        } else {
            self.figures.days.push(cost);
            let changes = made("changes").and_then(Value::as_u64);
            self.changes.push(changes.unwrap_or_default());
        }
        let total = self.installation.disk_usage()?.total;
        self.figures.bytes.push(total);
        Ok(())
    }

    /// Writes the newest snapshot out; the last time counts.
    pub(super) fn export(&mut self, output: &Path) -> anyhow::Result<()> {
        let output = output.to_str().context("an odd directory name")?;
        let snapshot = self.snapshots.last().context("no snapshot")?.clone();
        self.figures.export = Some(self.job(&[
            "export",
            "bench",
            "--snapshot",
            &snapshot,
            "--output",
            output,
        ])?);
        Ok(())
    }

    /// What a job costs the daemon.
    fn job(&self, arguments: &[&str]) -> anyhow::Result<Cost> {
        let before = self.installation.usage()?;
        self.installation.forget_peak()?;
        let ctl = self.installation.ctl_cost_within(arguments, JOB_BUDGET)?;
        let after = self.installation.usage()?;
        Ok(Cost {
            cpu_seconds: after.cpu_seconds - before.cpu_seconds,
            wall_seconds: ctl.wall_seconds,
            peak_bytes: after.memory_peak_bytes,
        })
    }

    /// Reads, compares and checks, when all days are over. `users` are users of the snapshot of that day.
    pub(super) fn afterwards(&mut self, day: usize, users: &[String]) -> anyhow::Result<()> {
        let snapshot = self.snapshots.get(day - 1).context("no such snapshot")?;
        let mut walls = Vec::new();
        for user in users.iter().take(CTL_READS) {
            let arguments = ["objects", "show", "user", user, "--snapshot", snapshot];
            let cost = self.installation.ctl_cost(&arguments)?;
            walls.push(cost.wall_seconds);
            self.figures.read.push(cost);
        }
        self.reads.ctl_wall = median(walls);
        let mut socket = Socket::connect(&self.installation.socket())?;
        let mut walls = Vec::new();
        for user in users.iter().rev().cycle().take(DAEMON_READS) {
            let began = start();
            socket.get(&format!("/v1/snapshots/{snapshot}/objects/user/{user}"))?;
            walls.push(began.elapsed().as_secs_f64());
        }
        self.reads.daemon_wall = median(walls);
        let last = self.snapshots.len() - 1;
        for (from, to) in [(last / 2, last / 2 + 1), (0, last)] {
            let ends = self.snapshots.get(from).zip(self.snapshots.get(to));
            let Some((from, to)) = ends else {
                continue;
            };
            let path = format!("/v1/diff?from={from}&to={to}");
            let socket = self.installation.socket();
            let plain = diff(&socket, &format!("{path}&names=false"))?;
            let attributes = diff(&socket, &format!("{path}&attributes=true"))?;
            self.reads.diff_plain.push(plain);
            self.reads.diff_attributes.push(attributes);
        }
        self.figures.check = Some(self.job(&["store", "check", "--read-data"])?);
        Ok(())
    }

    /// What was measured beside the columns of the table, in words.
    pub(super) fn words(&self) -> Vec<String> {
        let reads = &self.reads;
        let milliseconds = |wall: Option<f64>| {
            wall.map_or("–".to_owned(), |wall| format!("{:.2} ms", wall * 1e3))
        };
        let mut words = vec![
            format!("The daemon idle: {:.1} MiB", float(self.idle_bytes) / MIB),
            format!(
                "One object: a whole `orgkeepctl` {}, a request on an open connection {} (medians of {CTL_READS} and {DAEMON_READS})",
                milliseconds(reads.ctl_wall),
                milliseconds(reads.daemon_wall)
            ),
        ];
        if let Some(((first, fewest), days)) = self.requests.split_first() {
            let middle = |figures: Vec<u64>| {
                median(figures.into_iter().map(float).collect()).unwrap_or_default()
            };
            words.push(format!(
                "Requests (the fewest that list everything once): first backup {first} ({fewest}), a later day {:.0} ({:.0}) (medians)",
                middle(days.iter().map(|(made, _)| *made).collect()),
                middle(days.iter().map(|(_, fewest)| *fewest).collect()),
            ));
        }
        for (name, diffs) in [
            ("ids and kinds", &reads.diff_plain),
            ("names and attributes", &reads.diff_attributes),
        ] {
            for diff in diffs {
                words.push(format!(
                    "Diff, {} changes with {name}: {}{}",
                    diff.changes,
                    milliseconds(Some(diff.wall_seconds)),
                    if diff.whole { "" } else { ", then broken off" }
                ));
            }
        }
        let peak = |cost: Option<Cost>| cost.map_or(0.0, |cost| float(cost.peak_bytes) / MIB);
        words.push(format!(
            "Peak while checking {:.0} MiB, exporting {:.0} MiB",
            peak(self.figures.check),
            peak(self.figures.export)
        ));
        words
    }

    /// The targets that need no other row.
    pub(super) fn targets(&self, users: u32) -> Vec<Target> {
        let large = users >= 100_000;
        let mut targets = Vec::new();
        let mut add = |what: &str, at_most: f64, measured: Option<f64>, unit: &'static str| {
            targets.push(Target {
                what: what.to_owned(),
                at_most,
                measured,
                unit,
            });
        };
        let day = self.figures.day();
        if large {
            let first = self.figures.first.map(|cost| cost.cpu_seconds);
            add("first backup over HTTP", 10.0, first, "CPU s");
            let rescan = day.map(|cost| cost.cpu_seconds);
            add("full rescan over HTTP, median day", 9.0, rescan, "CPU s");
            let peaks = self.figures.days.iter().chain(&self.figures.first);
            let peak = peaks.map(|cost| cost.peak_bytes).max();
            let above = peak.map(|peak| float(peak.saturating_sub(self.idle_bytes)) / MIB);
            let most = if users >= 1_000_000 { 300.0 } else { 64.0 };
            add("peak memory of backups above idle", most, above, "MiB");
            let export = self.figures.export.map(|cost| cost.cpu_seconds);
            add("export", 3.0, export, "CPU s");
        } else {
            let bytes = self.figures.bytes_a_day().map(|bytes| bytes / 1e6);
            add("a later day adds, median", 0.1, bytes, "MB");
            let check = self.figures.check.map(|cost| cost.cpu_seconds);
            add("full check with `--read-data`", 0.2, check, "CPU s");
        }
        let milliseconds = |wall: Option<f64>| wall.map(|wall| wall * 1e3);
        let ctl = milliseconds(self.reads.ctl_wall);
        add("one object by a whole `orgkeepctl`", 10.0, ctl, "ms");
        let daemon = milliseconds(self.reads.daemon_wall);
        add("one object by a request to the daemon", 1.0, daemon, "ms");
        for (diffs, what, unit, at_most, scale) in [
            (
                &self.reads.diff_plain,
                "diff, ids and kinds, of 1,000 changes",
                "ms",
                10.0,
                1e6,
            ),
            (
                &self.reads.diff_attributes,
                "diff with attributes, each change",
                "ms",
                0.5,
                1e3,
            ),
        ] {
            let each = |diff: &PerChange| diff.wall_seconds / float(diff.changes.max(1)) * scale;
            let worst = diffs.iter().map(each).max_by(f64::total_cmp);
            add(what, at_most, worst, unit);
        }
        targets
    }
}

/// Asks for a diff a few times, each on a connection of its own.
fn diff(socket: &Path, path: &str) -> anyhow::Result<PerChange> {
    let mut walls = Vec::new();
    let mut changes = 0;
    let mut whole = true;
    while whole && walls.len() < DIFFS && walls.iter().sum::<f64>() < DIFFS_BUDGET.as_secs_f64() {
        let mut connection = Socket::connect(socket)?;
        let began = start();
        (changes, whole) = connection.count_lines(path, began + DIFF_BUDGET)?;
        walls.push(began.elapsed().as_secs_f64());
    }
    Ok(PerChange {
        changes,
        wall_seconds: median(walls).context("no measurement")?,
        whole,
    })
}
