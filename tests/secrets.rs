//! Nothing that should be secret stands anywhere in the clear.

use std::fs;

use okta_sim::OktaSim;
use orgkeep_tests::TestDaemon;
use orgkeep_tests::wait::until;
use serde_json::Value;

use crate::restore::disaster;

#[test]
fn secrets_and_profile_values_are_nowhere_in_the_clear() {
    let okta = OktaSim::with_users(80);
    let daemon = TestDaemon::start(&okta);
    let mut known = known_values(&okta);
    known.extend([
        okta.client_secret().to_owned(),
        okta.api_token().to_owned(),
        okta.service_private_key_pem()
            .lines()
            .nth(1)
            .unwrap()
            .to_owned(),
    ]);
    // Everything that writes something somewhere.
    daemon.ctl(["backup-now", "--wait"]).success();
    disaster(&okta);
    let file = daemon.directory().join("token");
    fs::write(&file, okta.api_token()).unwrap();
    daemon
        .ctl([
            "domains",
            "reauthorize",
            "--api-token-file",
            file.to_str().unwrap(),
        ])
        .success();
    let plan = daemon.json(["restore", "plan", "--snapshot", "latest"]);
    let running = daemon.json(["restore", "apply", plan["id"].as_str().unwrap()]);
    until("the restore ends", || {
        for process in fs::read_dir("/proc").unwrap().flatten() {
            let line = fs::read(process.path().join("cmdline")).unwrap_or_default();
            assert_eq!(found(&line, &known), None, "in a process's arguments");
        }
        let job = daemon.json(["jobs", "show", running["id"].as_str().unwrap()]);
        job["finished_at"].is_string().then_some(())
    });
    daemon
        .ctl(["diff", "latest", "live", "--attributes"])
        .success();
    // So much has new ids that the loss of the old ones is told as one.
    let ran = daemon.ctl(["backup-now", "--wait"]);
    assert!(matches!(ran.code, Some(0 | 3)), "{ran:?}");
    daemon
        .ctl(["objects", "--snapshot", "latest", "--match", "a"])
        .success();
    let environment = fs::read(format!("/proc/{}/environ", daemon.pid())).unwrap();
    assert_eq!(
        found(&environment, &known),
        None,
        "in the daemon's environment"
    );
    // While the daemon runs: the write-ahead logs are there too.
    let mut scanned = 0;
    for path in daemon.files() {
        let Ok(bytes) = fs::read(&path) else { continue };
        assert_eq!(found(&bytes, &known), None, "in {}", path.display());
        scanned += bytes.len();
    }
    assert!(scanned > 50_000, "{scanned}");
    assert_eq!(found(daemon.log().as_bytes(), &known), None, "in the log");
    let jobs = daemon.ctl(["jobs", "--json"]).success().stdout;
    assert_eq!(found(jobs.as_bytes(), &known), None, "in the jobs");
    let audit = daemon.ctl(["audit", "--json"]).success().stdout;
    assert_eq!(found(audit.as_bytes(), &known), None, "in the audit log");
}

/// What is only known to the org: names, addresses, numbers; long enough not to occur by chance.
fn known_values(okta: &OktaSim) -> Vec<String> {
    let mut values = Vec::new();
    for object in okta
        .dump("user")
        .values()
        .chain(okta.dump("group").values())
    {
        let profile = object["profile"].as_object().unwrap();
        values.extend(
            profile
                .values()
                .filter_map(Value::as_str)
                .map(str::to_owned),
        );
    }
    values.extend(
        okta.dump("app")
            .values()
            .filter_map(|app| app["label"].as_str().map(str::to_owned)),
    );
    values.sort();
    values.dedup();
    // A profile may name a manager by id, and ids may be known.
    let ids = okta.dump("user");
    values.retain(|value| value.len() >= 9 && !ids.contains_key(value));
    assert!(values.len() > 200, "{}", values.len());
    values
}

/// The first of the values that stands in the bytes.
fn found(bytes: &[u8], values: &[String]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    values
        .iter()
        .find(|value| text.contains(value.as_str()))
        .cloned()
}
