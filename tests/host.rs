//! The daemon and the machine it runs on: its files, its socket, its configuration, its callers.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use nix::unistd::geteuid;
use okta_sim::OktaSim;
use orgkeep_tests::binaries::binaries;
use orgkeep_tests::command::run;
use orgkeep_tests::{Ran, Setup, TestDaemon};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::{Value, json};

use crate::skipped;

/// Nobody in particular.
const OTHER_UID: u32 = 65_534;

#[test]
fn a_daemon_without_any_configuration_answers_status() {
    let daemon = TestDaemon::bare();
    let status = daemon.json(["status"]);
    assert_eq!(status["domains"], 0);
    assert_eq!(status["daemon"]["pid"], json!(daemon.pid().as_raw()));
    assert!(
        daemon
            .ctl(["status"])
            .success()
            .stdout
            .contains("key provider")
    );
    for list in [["domains", "--json"], ["jobs", "--json"]] {
        assert_eq!(daemon.ctl(list).success().stdout, "");
    }
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&daemon.data()), 0o700);
    assert_eq!(mode(&daemon.socket()), 0o666);
}

#[test]
fn files_of_the_daemon_are_for_its_user_alone() {
    let okta = OktaSim::with_users(10);
    let daemon = TestDaemon::start(&okta);
    daemon.ctl(["backup-now", "--wait"]).success();
    for file in daemon.files() {
        let mode = fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{}", file.display());
    }
}

#[test]
fn a_second_daemon_is_refused_and_told_who_is_there() {
    let daemon = TestDaemon::bare();
    let ran = run(&mut daemon.command(), "").code(1);
    assert!(ran.stderr.contains(&daemon.pid().to_string()), "{ran:?}");
    // Also by another socket: the data directory is what must not be shared.
    let other = daemon.directory().join("other.sock");
    let ran = run(daemon.command().arg("--socket").arg(&other), "");
    assert_ne!(ran.code, Some(0), "{ran:?}");
    // Another data directory, but the live daemon's socket.
    let data = daemon.directory().join("other");
    let mut command = Command::new(&binaries().daemon);
    command
        .arg("--data-dir")
        .arg(data)
        .arg("--socket")
        .arg(daemon.socket());
    run(&mut command, "").code(1);
    daemon.ctl(["status"]).success();
}

#[test]
fn a_stale_socket_is_replaced() {
    let mut daemon = TestDaemon::bare();
    daemon.kill();
    assert!(daemon.socket().exists());
    daemon.ctl(["status"]).code(5);
    daemon.restart();
    daemon.ctl(["status"]).success();
}

#[test]
fn the_configuration_is_checked_and_an_unknown_key_is_named() {
    let check = |config: &str| {
        let setup = Setup {
            config: config.to_owned(),
            ..Setup::default()
        };
        run(
            TestDaemon::not_started(setup)
                .command()
                .arg("--check-config"),
            "",
        )
    };
    check("").success();
    check("[defaults]\nschedule = \"@weekly\"\n[log]\nlevel = \"debug\"\n").success();
    for (config, named) in [
        ("[rolls]\n", "rolls"),
        ("[keys]\nprovidor = \"file\"\n", "providor"),
        ("[defaults]\nschedule = \"hourly-ish\"\n", "schedule"),
        ("[keys]\nprovider = \"tea-leaves\"\n", "provider"),
        ("[roles]\nviewer = [\"everybody\"]\n", "everybody"),
    ] {
        let ran = check(config);
        assert_ne!(ran.code, Some(0), "{config}");
        assert!(ran.stderr.contains(named), "{config}: {ran:?}");
    }
    let nowhere = run(
        Command::new(&binaries().daemon).args(["--config", "/nowhere", "--check-config"]),
        "",
    );
    assert_ne!(nowhere.code, Some(0));
}

#[test]
fn flags_come_before_the_environment_and_that_before_the_file() {
    let okta = OktaSim::with_users(5);
    let mut daemon = TestDaemon::not_started(Setup {
        config: "[defaults]\nschedule = \"@weekly\"\n".to_owned(),
        env: vec![("ORGKEEP_DATA_DIR".to_owned(), "/nowhere/at/all".into())],
    });
    daemon.restart();
    assert!(daemon.data().exists());
    assert_eq!(
        daemon.add(&okta, "acme", &[]).success().json()["schedule"],
        "@weekly"
    );

    let directory = daemon.directory().join("by-env");
    let mut command = Command::new(&binaries().daemon);
    command
        .arg("--config")
        .arg(daemon.directory().join("config.toml"))
        .arg("--socket")
        .arg(daemon.socket())
        .env("ORGKEEP_DATA_DIR", &directory);
    daemon.kill();
    daemon.spawn(&mut command);
    assert!(directory.exists());
}

#[test]
fn other_users_do_what_their_role_allows() {
    if !geteuid().is_root() {
        return skipped("only root can be someone else");
    }
    let okta = OktaSim::with_users(10);
    let mut daemon = TestDaemon::start(&okta);
    daemon.ctl(["backup-now", "--wait"]).success();
    let user = okta.ids("user").remove(0);
    // The other user must reach the socket and the client.
    fs::set_permissions(daemon.directory(), Permissions::from_mode(0o755)).unwrap();
    let ctl = daemon.directory().join("orgkeepctl");
    fs::copy(&binaries().ctl, &ctl).unwrap();
    fs::set_permissions(&ctl, Permissions::from_mode(0o755)).unwrap();
    let other = |daemon: &TestDaemon, arguments: &[&str]| -> Ran {
        let mut command = Command::new(&ctl);
        command
            .env("ORGKEEP_SOCKET", daemon.socket())
            .args(arguments)
            .arg("--json");
        run(command.uid(OTHER_UID).gid(OTHER_UID), "")
    };
    for command in [
        &["status"] as &[&str],
        &["domains"],
        &["backup-now", "acme"],
        &["audit"],
    ] {
        let refused = other(&daemon, command).code(4);
        assert_eq!(refused.stdout, "");
    }
    let refusals = daemon.json_lines(["audit"]);
    assert!(
        refusals
            .iter()
            .any(|row| row["uid"] == json!(OTHER_UID) && row["outcome"] != "ok")
    );

    let show = ["objects", "show", "user", &user, "--snapshot", "latest"];
    let plan = ["restore", "plan", "acme", "--snapshot", "latest"];
    let list = ["objects", "--snapshot", "latest", "--type", "user"];
    for (role, allowed, refused) in [
        (
            "viewer",
            &[
                &["status"] as &[&str],
                &["domains"],
                &["jobs"],
                &["snapshots"],
                &list,
            ] as &[&[&str]],
            &[
                &["backup-now"] as &[&str],
                &show,
                &plan,
                &["domains", "disable-backup"],
            ] as &[&[&str]],
        ),
        (
            "product_admin",
            &[
                &["backup-now", "--wait"],
                &list,
                &show,
                &plan,
                &["domains", "configure"],
            ],
            &[
                &["keys", "enable"],
                &["domains", "configure", "--schedule", "off"],
                &[
                    "export",
                    "--snapshot",
                    "latest",
                    "--output",
                    "/tmp/never-made-by-orgkeep",
                ],
                &["domains", "remove", "acme", "--yes", "acme"],
                &["store", "check", "--read-data"],
                &["store", "prune"],
                &["store", "repair"],
                &["keys", "rotate"],
                &["keys", "rewrap"],
            ],
        ),
        (
            "cloud_admin",
            &[
                &["keys", "enable"],
                &["keys", "rotate"],
                &["keys", "rewrap"],
                &["store", "prune"],
                &["store", "repair"],
                &["store", "check", "--read-data"],
                &["audit"],
            ],
            &[],
        ),
    ] {
        daemon.kill();
        let config = format!("[roles]\n{role} = [\"uid:{OTHER_UID}\"]\n");
        fs::write(daemon.directory().join("roles.toml"), config).unwrap();
        let mut command = Command::new(&binaries().daemon);
        command
            .arg("--config")
            .arg(daemon.directory().join("roles.toml"))
            .arg("--data-dir")
            .arg(daemon.data())
            .arg("--socket")
            .arg(daemon.socket());
        daemon.spawn(&mut command);
        for command in allowed {
            other(&daemon, command).success();
        }
        for command in refused {
            other(&daemon, command).code(4);
        }
        let names = other(&daemon, &list).success().lines();
        let hidden = names.iter().all(|line| line["name"] == Value::Null);
        assert_eq!(hidden, role == "viewer", "{role}");
    }
    daemon.ctl(["audit", "--verify"]).success();
}

#[test]
fn an_org_behind_a_private_authority_is_trusted_by_ssl_cert_file() {
    let mut authority = CertificateParams::new(Vec::<String>::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["localhost".to_owned()])
        .unwrap()
        .signed_by(&key, &authority)
        .unwrap();
    let okta = OktaSim::builder()
        .users(10)
        .tls(&certificate.pem(), &key.serialize_pem())
        .start()
        .unwrap();
    let mistrusting = TestDaemon::bare();
    let refused = mistrusting.add(&okta, "acme", &[]).code(1);
    assert_eq!(refused.problem()["code"], "unreachable");
    let mut daemon = TestDaemon::not_started(Setup::default());
    let file = daemon.directory().join("ca.pem");
    fs::write(&file, authority.pem()).unwrap();
    let mut command = daemon.command();
    command.env("SSL_CERT_FILE", &file);
    daemon.spawn(&mut command);
    daemon.add(&okta, "acme", &["--enable-keys"]).success();
    daemon.ctl(["backup-now", "--wait"]).success();
}

#[test]
fn a_key_provider_that_is_down_does_not_keep_the_daemon_from_answering() {
    let okta = OktaSim::with_users(10);
    let mut daemon = TestDaemon::start(&okta);
    daemon.ctl(["backup-now", "--wait"]).success();
    daemon.kill();
    let kek = daemon.data().join("keys/kek");
    let away = daemon.directory().join("kek");
    fs::rename(&kek, &away).unwrap();
    daemon.restart();
    daemon.ctl(["status"]).success();
    assert_eq!(
        daemon.json(["domains", "show"])["key_management"],
        "unavailable"
    );
    let ran = daemon.ctl(["backup-now", "--wait"]);
    assert_ne!(ran.code, Some(0), "{ran:?}");
    assert!(!kek.exists(), "no other key is made in its place");
    fs::rename(&away, &kek).unwrap();
    daemon.kill();
    daemon.restart();
    daemon.ctl(["backup-now", "--wait"]).success();
    // A key that others can read is no key.
    daemon.kill();
    fs::set_permissions(&kek, Permissions::from_mode(0o644)).unwrap();
    daemon.restart();
    assert_eq!(
        daemon.json(["keys", "status"])["provider"]["state"],
        "unavailable"
    );
}
