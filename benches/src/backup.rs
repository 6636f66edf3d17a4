//! A first backup, and one after 1 % of the org changed, by the real daemon over HTTP.

use std::collections::BTreeMap;
use std::io::{self, Write};

use anyhow::Context;
use okta_sim::{OktaSim, RateLimits};
use serde_json::{Value, json};

use crate::installation::{DiskUsage, Installation, Usage};

const MIB: f64 = 1024.0 * 1024.0;
const MB: f64 = 1_000_000.0;

/// What one backup did and cost.
struct Measured {
    title: &'static str,
    objects: u64,
    requests: u64,
    requests_minimum: u64,
    wall_seconds: f64,
    before: Usage,
    after: Usage,
    disk_before: DiskUsage,
    disk: DiskUsage,
}

/// Runs the scenario on an org of `users` users and prints its table.
pub(crate) fn run(users: u32, seed: u64, already_built: bool) -> anyhow::Result<()> {
    let okta = OktaSim::builder()
        .users(users)
        .seed(seed)
        .rate_limits(RateLimits::Off)
        .start()
        .context("could not start the simulated org")?;
    let installation = Installation::start(already_built)?;
    register(&installation, &okta)?;
    let idle = installation.usage()?;
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "\n{users} users, seed {seed}; the daemon idle: {:.1} MiB\n",
        mib(idle.memory_peak_bytes)
    )?;
    writeln!(
        out,
        "| backup | objects | requests (minimum) | wall s | objects/s | CPU s | peak MiB | new MB | store MB | index MB | WAL MB | all MB |"
    )?;
    writeln!(out, "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|")?;

    measure("first", &installation, &okta)?.write(&mut out)?;
    change_one_percent(&okta);
    measure("1 % of users changed", &installation, &okta)?.write(&mut out)?;
    measure("unchanged", &installation, &okta)?.write(&mut out)?;
    Ok(())
}

/// Registers the org with the daemon, as `bench`.
pub(crate) fn register(installation: &Installation, okta: &OktaSim) -> anyhow::Result<()> {
    let secret = installation.file("secret", okta.client_secret())?;
    let secret = secret.to_str().context("an odd directory name")?;
    installation.ctl(&[
        "domains",
        "add",
        okta.url(),
        "--client-id",
        okta.client_id(),
        "--client-secret-file",
        secret,
        "--name",
        "bench",
        "--enable-keys",
        "--schedule",
        "off",
    ])?;
    Ok(())
}

fn measure(
    title: &'static str,
    installation: &Installation,
    okta: &OktaSim,
) -> anyhow::Result<Measured> {
    let before = installation.usage()?;
    let disk_before = installation.disk_usage()?;
    let job = installation.ctl(&["backup-now", "bench", "--wait"])?;
    let measured = Measured {
        title,
        objects: protected_items(installation)?,
        requests: job
            .pointer("/progress/requests")
            .and_then(Value::as_u64)
            .context("a job without requests")?,
        requests_minimum: okta.minimum_requests().values().sum::<usize>() as u64,
        wall_seconds: job_seconds(&job)?,
        before,
        after: installation.usage()?,
        disk_before,
        disk: installation.disk_usage()?,
    };
    okta.clear_requests();
    Ok(measured)
}

impl Measured {
    #[expect(clippy::cast_precision_loss, reason = "rounded for people")]
    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let mb = |bytes: u64| bytes as f64 / MB;
        writeln!(
            out,
            "| {} | {} | {} ({}) | {:.1} | {:.0} | {:.1} | {:.0} | {:.2} | {:.1} | {:.1} | {:.1} | {:.1} |",
            self.title,
            self.objects,
            self.requests,
            self.requests_minimum,
            self.wall_seconds,
            self.objects as f64 / self.wall_seconds,
            self.after.cpu_seconds - self.before.cpu_seconds,
            mib(self.after.memory_peak_bytes),
            mb(self.disk.total) - mb(self.disk_before.total),
            mb(self.disk.blobs),
            mb(self.disk.index),
            mb(self.disk.wal),
            mb(self.disk.total),
        )
    }
}

#[expect(clippy::cast_precision_loss, reason = "rounded for people")]
fn mib(bytes: u64) -> f64 {
    bytes as f64 / MIB
}

fn protected_items(installation: &Installation) -> anyhow::Result<u64> {
    let card = installation.ctl(&["domains", "show", "bench"])?;
    let items: BTreeMap<String, u64> = serde_json::from_value(
        card.get("protected_items")
            .context("a card without counts")?
            .clone(),
    )?;
    Ok(items.values().sum())
}

/// How long a job ran.
pub(crate) fn job_seconds(job: &Value) -> anyhow::Result<f64> {
    let moment = |field: &str| -> anyhow::Result<jiff::Timestamp> {
        Ok(job
            .get(field)
            .and_then(Value::as_str)
            .with_context(|| format!("a job without {field}"))?
            .parse()?)
    };
    Ok(moment("finished_at")?
        .duration_since(moment("started_at")?)
        .as_secs_f64())
}

/// Gives every hundredth user another title, as an admin would.
fn change_one_percent(okta: &OktaSim) {
    for id in okta.ids("user").iter().step_by(100) {
        let user = okta.admin().get(&format!("/api/v1/users/{id}"));
        if user
            .body
            .get("status")
            .is_some_and(|status| status != "DEPROVISIONED")
        {
            let changed = json!({ "profile": { "title": "Changed by the benchmark" } });
            okta.admin().post(&format!("/api/v1/users/{id}"), changed);
        }
    }
}
