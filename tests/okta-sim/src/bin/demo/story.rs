//! The story that the demo tells.

use anyhow::{Context, Result, ensure};
use okta_sim::OktaSim;
use okta_sim::picture::Picture;
use serde_json::Value;

use crate::disaster;
use crate::stage::{Stage, say, title};

/// Tells the whole story; `false` when something is missing at its end.
pub(crate) fn tell(users: u32, seed: u64, keep: bool) -> Result<bool> {
    say("Building orgkeepd and orgkeepctl, if need be …")?;
    let stage = Stage::set()?;
    let okta = OktaSim::builder().users(users).seed(seed).start()?;
    title(&format!(
        "A simulated Okta org of {users} users at {}",
        okta.url()
    ))?;

    title("Register it and back it up")?;
    let secret = stage.secret_file("client-secret", okta.client_secret())?;
    let secret = secret.to_str().context("the directory's name is text")?;
    stage.run(&[
        "domains",
        "add",
        okta.url(),
        "--name",
        "acme",
        "--client-id",
        okta.client_id(),
        "--client-secret-file",
        secret,
        "--skip-keys",
    ])?;
    stage.run(&["keys", "enable", "acme"])?;
    stage.run(&["backup-now", "acme", "--wait"])?;
    stage.run(&["domains", "show", "acme"])?;
    stage.run(&["snapshots", "acme"])?;
    let snapshot = field(
        &stage.read(&["snapshots", "show", "latest", "--json"])?,
        "id",
    )?;

    title("Disaster")?;
    let before = Picture::of(&okta);
    for line in disaster::strike(&okta)? {
        say(&line)?;
    }
    let missing = before.missing_in(&Picture::of(&okta));
    say(&format!(
        "With all that hung on them, {} objects and relations are gone.",
        missing.len()
    ))?;
    ensure!(!missing.is_empty(), "the disaster did no harm");
    stage.run(&["diff", "latest", "live"])?;

    title("Get it back")?;
    let plan = stage.run_and_read(&["restore", "plan", "acme", "--snapshot", &snapshot])?;
    let plan = plan_id(&plan)?;
    if !stage.run_job(&["restore", "apply", &plan, "--wait"])? {
        let jobs = stage.read(&["jobs", "--kind", "restore", "--json"])?;
        let job = field(jobs.lines().next().unwrap_or_default(), "id")?;
        stage.run(&["jobs", "report", &job])?;
    }

    title("Is anything missing?")?;
    let complete = judge(&stage, &okta, &before, &snapshot)?;
    if keep {
        say(&format!(
            "\nEverything is left running until Ctrl-C. To play with it:\n\n  \
             export ORGKEEP_SOCKET={}\n  alias orgkeepctl={}\n  orgkeepctl status\n  \
             orgkeepctl snapshots\n  orgkeepctl objects --snapshot latest --type group\n\n\
             The org is at {}, its API token is {}.",
            stage.socket().display(),
            stage.ctl().display(),
            okta.url(),
            okta.api_token()
        ))?;
        stage.keep()?;
    }
    Ok(complete)
}

/// Compares the org with what it was, and has the product do the same.
fn judge(stage: &Stage, okta: &OktaSim, before: &Picture, snapshot: &str) -> Result<bool> {
    let missing = before.missing_in(&Picture::of(okta));
    for line in &missing {
        say(&format!("missing: {line}"))?;
    }
    let again = ["restore", "plan", "acme", "--snapshot", snapshot, "--json"];
    let plan: Value = serde_json::from_str(&stage.read(&again)?)?;
    let left: u64 = plan
        .get("actions")
        .and_then(Value::as_object)
        .map(|actions| actions.values().filter_map(Value::as_u64).sum())
        .context("a plan counts its actions")?;
    say(&format!(
        "Of {} objects and relations, by their names, {} are missing; a new restore plan has \
         {left} actions.",
        before.len(),
        missing.len()
    ))?;
    let complete = missing.is_empty() && left == 0;
    say(if complete {
        "Nothing is missing."
    } else {
        "The restore was not complete."
    })?;
    Ok(complete)
}

/// The plan's id, from the first line that `restore plan` prints.
fn plan_id(text: &str) -> Result<String> {
    text.lines()
        .find_map(|line| line.strip_prefix("plan "))
        .map(|id| id.trim().to_owned())
        .context("a plan has an id")
}

fn field(document: &str, name: &str) -> Result<String> {
    let document: Value = serde_json::from_str(document)?;
    let value = document.get(name).and_then(Value::as_str);
    value
        .map(str::to_owned)
        .with_context(|| format!("a document without {name}"))
}
