//! A first backup, and one after 1 % of the org changed, by the real daemon over HTTP.

use std::collections::BTreeMap;

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
pub(crate) fn run(users: usize, seed: u64) -> anyhow::Result<()> {
    let okta = OktaSim::builder()
        .users(users)
        .seed(seed)
        .rate_limits(RateLimits::Off)
        .start();
    let installation = Installation::start()?;
    register(&installation, &okta)?;
    println_line(&format!("\n{users} users, seed {seed}"))?;

    print(&measure("first backup", &installation, &okta)?)?;
    change_one_percent(&okta)?;
    print(&measure("after 1 % changed", &installation, &okta)?)?;
    print(&measure("unchanged", &installation, &okta)?)
}

fn register(installation: &Installation, okta: &OktaSim) -> anyhow::Result<()> {
    let secret = installation.file("secret", okta.client_secret())?;
    let secret = secret.to_str().context("an odd directory name")?;
    installation.ctl(&[
        "domains", "add", okta.url(), "--client-id", okta.client_id(),
        "--client-secret-file", secret, "--name", "bench", "--enable-keys", "--schedule", "off",
    ])?;
    Ok(())
}

fn measure(title: &'static str, installation: &Installation, okta: &OktaSim) -> anyhow::Result<Measured> {
    okta.clear_requests();
    let before = installation.usage()?;
    let disk_before = installation.disk_usage()?;
    let job = installation.ctl(&["backup-now", "bench", "--wait"])?;
    Ok(Measured {
        title,
        objects: protected_items(installation)?,
        requests: okta.requests().len() as u64,
        requests_minimum: okta.minimum_requests().values().sum(),
        wall_seconds: job_seconds(&job)?,
        before,
        after: installation.usage()?,
        disk_before,
        disk: installation.disk_usage()?,
    })
}

fn protected_items(installation: &Installation) -> anyhow::Result<u64> {
    let card = installation.ctl(&["domains", "show", "bench"])?;
    let items: BTreeMap<String, u64> = serde_json::from_value(card["protected_items"].clone())?;
    Ok(items.values().sum())
}

fn job_seconds(job: &Value) -> anyhow::Result<f64> {
    let moment = |field: &str| -> anyhow::Result<jiff::Timestamp> {
        Ok(job[field].as_str().with_context(|| format!("a job without {field}"))?.parse()?)
    };
    Ok(moment("finished_at")?.duration_since(moment("started_at")?).as_secs_f64())
}

/// Gives every hundredth user another title, as an admin would.
fn change_one_percent(okta: &OktaSim) -> anyhow::Result<()> {
    for id in okta.ids("user").iter().step_by(100) {
        let user = okta.admin().get(&format!("/api/v1/users/{id}"));
        if user.body["status"] != "DEPROVISIONED" {
            let changed = json!({ "profile": { "title": "Changed by the benchmark" } });
            okta.admin().post(&format!("/api/v1/users/{id}"), &changed);
        }
    }
    Ok(())
}
