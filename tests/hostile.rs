//! Whatever is sent to the socket or written into the configuration is answered or refused, and the daemon goes on.
//!
//! The requests and files are valid ones with some bytes changed, the same each time. What the engine parses has targets of its own
//! (`tests/fuzz`).

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use okta_sim::OktaSim;
use orgkeep_engine::fuzzing::Mutations;
use orgkeep_tests::command::run;
use orgkeep_tests::http::request;
use orgkeep_tests::{Setup, TestDaemon};

/// How many changed requests are sent.
const REQUESTS: usize = 1_500;
/// How many changed configurations are checked: each is a process.
const CONFIGURATIONS: usize = 60;

const GET: &[&str] = &[
    "/v1/status",
    "/v1/domains/acme",
    "/v1/domains/acme/settings",
    "/v1/domains/acme/snapshots?limit=7&after=x",
    "/v1/snapshots/{s}",
    "/v1/domains/acme/snapshots/@2100-01-01T00:00:00+01:00",
    "/v1/snapshots/{s}/objects?type=user&match=ann&limit=3",
    "/v1/snapshots/{s}/objects/group_member/{m}",
    "/v1/snapshots/{s}/objects/user/00u%2F..%2f..%00",
    "/v1/domains/acme/objects/user/00u1/history",
    "/v1/diff?from={s}&to=latest&domain=acme",
    "/v1/jobs?domain=acme&kind=backup&state=succeeded&limit=2",
    "/v1/restore-plans/0000000000000000/actions",
    "/v1/audit?limit=5",
    "/metrics",
];
const SENT: &[(&str, &str, &str)] = &[
    (
        "POST",
        "/v1/domains/acme/restore-plans",
        r#"{"snapshot":"{s}","types":["user"],"ids":["group_member/{m}","user/00u1"],"mode":"additive","with_dependencies":true}"#,
    ),
    (
        "PATCH",
        "/v1/domains/acme/settings",
        r#"{"schedule":"every 6h","timezone":"Europe/Vienna","retention":"within=48h,last=5","rate_limit_share":50,"full_every":"7d"}"#,
    ),
    (
        "POST",
        "/v1/domains",
        r#"{"okta_domain":"acme.invalid","name":"other","client_id":"0oa1","client_secret":"x"}"#,
    ),
    ("PATCH", "/v1/snapshots/{s}", r#"{"pinned":true}"#),
    ("POST", "/v1/store/check", r#"{"read_data":false}"#),
    (
        "PUT",
        "/v1/domains/acme/key-management",
        r#"{"enabled":true}"#,
    ),
];

/// Sends bytes and gives what comes back.
fn exchange(daemon: &TestDaemon, bytes: &[u8]) -> Vec<u8> {
    let mut stream = UnixStream::connect(daemon.socket()).unwrap();
    let patience = Some(Duration::from_secs(20));
    stream.set_read_timeout(patience).unwrap();
    // Refused early, the rest of a request may have nowhere to go.
    let _sent = stream.write_all(bytes);
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    // A connection may be reset where the daemon has not read all that was sent.
    let _read = stream.read_to_end(&mut answer);
    answer
}

#[test]
fn any_request_is_answered_or_refused() {
    let okta = OktaSim::with_users(10);
    let daemon = TestDaemon::start(&okta);
    daemon.ctl(["domains", "disable-backup", "acme"]).success();
    daemon.ctl(["backup-now", "--wait"]).success();
    let snapshot = daemon.json(["snapshots", "show", "latest"])["id"].clone();
    let member = okta.ids("group_member").remove(0);
    let fill = |text: &str| {
        text.replace("{s}", snapshot.as_str().unwrap())
            .replace("{m}", &member)
    };
    let get = GET.iter().map(|target| {
        format!(
            "GET {} HTTP/1.1\r\nhost: any\r\nconnection: close\r\n\r\n",
            fill(target)
        )
    });
    let sent = SENT.iter().map(|(method, target, body)| {
        let (target, body) = (fill(target), fill(body));
        format!(
            "{method} {target} HTTP/1.1\r\nhost: any\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
    });
    let seeds: Vec<Vec<u8>> = get.chain(sent).map(String::into_bytes).collect();
    let mut answered = 0;
    for bytes in Mutations::of(&seeds).take(REQUESTS) {
        let answer = exchange(&daemon, &bytes);
        let said = String::from_utf8_lossy(&answer);
        let status: Option<u16> = said.split(' ').nth(1).and_then(|code| code.parse().ok());
        let Some(status) = status else {
            assert!(answer.is_empty(), "{bytes:?}: {said}");
            continue;
        };
        answered += 1;
        // An org that does not exist cannot be reached, and says so.
        let unreachable = matches!(status, 502..=504) && said.contains("\"unreachable\"");
        assert!(
            status < 500 || unreachable,
            "{}: {said}",
            String::from_utf8_lossy(&bytes)
        );
    }
    assert!(
        answered > REQUESTS / 2,
        "{answered} of {REQUESTS} were answered"
    );
    assert_eq!(
        request(&daemon.socket(), "GET", "/v1/status", None).status,
        200
    );
    assert!(!daemon.log().contains("panicked"), "{}", daemon.log());
}

#[test]
fn any_configuration_is_taken_or_refused() {
    let seeds = [
        "[roles]\ncloud_admin = [\"uid:0\", \"group:root\"]\nviewer = [\"user:root\", \"gid:0\"]\n",
        "[keys]\nprovider = \"file\"\npath = \"/nowhere/kek\"\n[store]\npath = \"store\"\n[socket]\nmode = \"0660\"\n",
        "[log]\nlevel = \"info,orgkeepd=debug\"\nformat = \"json\"\n[socket]\nmode = 0o660\n",
        "[defaults]\nschedule = \"*/5 * * * *\"\ntimezone = \"Europe/Vienna\"\nretention = \"last=3\"\nrate_limit_share = 50\nfull_every = \"7d\"\ntypes = [\"user\"]\n",
    ]
    .map(|text| text.as_bytes().to_vec());
    for changed in Mutations::of(&seeds).take(CONFIGURATIONS) {
        // The file is written as text; bytes that are none are the file system's affair.
        let config = String::from_utf8_lossy(&changed).into_owned();
        let setup = Setup {
            config: config.clone(),
            ..Setup::default()
        };
        let ran = run(
            TestDaemon::not_started(setup)
                .command()
                .arg("--check-config"),
            "",
        );
        assert!(matches!(ran.code, Some(0 | 1)), "{config:?}: {ran:?}");
        assert!(
            ran.code == Some(0) || ran.stderr.starts_with("orgkeepd: "),
            "{config:?}: {ran:?}"
        );
    }
}
