//! Whatever is sent to the socket or written into the configuration is answered or refused, and the daemon goes on.
//!
//! The requests and files are valid ones with some bytes changed, the same each time. What the engine parses has targets of its own
//! (`tests/fuzz`).

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use okta_sim::OktaSim;
use orgkeep_engine::fuzzing::Mutations;
use orgkeep_tests::command::run;
use orgkeep_tests::http::request;
use orgkeep_tests::wait::patience;
use orgkeep_tests::{Setup, TestDaemon};

/// How many changed requests are sent.
const REQUESTS: usize = 800;
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
        // Without credentials, so that whatever becomes of the address is not called.
        r#"{"okta_domain":"http://127.0.0.1:1","name":"other"}"#,
    ),
    ("PATCH", "/v1/snapshots/{s}", r#"{"pinned":true}"#),
    ("POST", "/v1/store/check", r#"{"read_data":false}"#),
    (
        "PUT",
        "/v1/domains/acme/key-management",
        r#"{"enabled":true}"#,
    ),
];

/// A request that is framed as it must be, whatever its parts hold.
fn framed(method: &[u8], target: &[u8], body: Option<&[u8]>) -> Vec<u8> {
    let word = |bytes: &[u8]| -> Vec<u8> {
        let kept = bytes.iter().filter(|byte| !b" \r\n".contains(byte));
        kept.copied().collect()
    };
    let mut bytes = word(method);
    bytes.extend_from_slice(b" /");
    bytes.extend_from_slice(word(target).strip_prefix(b"/").unwrap_or(&word(target)));
    bytes.extend_from_slice(b" HTTP/1.1\r\nhost: any\r\nconnection: close\r\n");
    if let Some(body) = body {
        let head = format!(
            "content-type: application/json\r\ncontent-length: {}\r\n",
            body.len()
        );
        bytes.extend_from_slice(head.as_bytes());
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body.unwrap_or_default());
    bytes
}

/// Sends bytes and gives what comes back.
fn exchange(daemon: &TestDaemon, bytes: &[u8]) -> Vec<u8> {
    let mut stream = UnixStream::connect(daemon.socket()).unwrap();
    stream.set_read_timeout(Some(patience())).unwrap();
    let mut answer = Vec::new();
    // Refused early, the rest of a request has nowhere to go, and the connection is reset after the answer.
    let _sent = stream.write_all(bytes);
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
    let targets: Vec<Vec<u8>> = GET.iter().map(|target| fill(target).into_bytes()).collect();
    let sent: Vec<Vec<u8>> = SENT
        .iter()
        .map(|(method, target, body)| format!("{method}\n{}\n{}", fill(target), fill(body)))
        .map(String::into_bytes)
        .collect();
    let reads = Mutations::of(&targets).map(|target| framed(b"GET", &target, None));
    let writes = Mutations::of(&sent).map(|whole| {
        let mut parts = whole.splitn(3, |byte| *byte == b'\n');
        let mut part = || parts.next().unwrap_or_default();
        let (method, target, body) = (part(), part(), part());
        framed(method, target, Some(body))
    });
    for bytes in reads.take(REQUESTS / 2).chain(writes.take(REQUESTS / 2)) {
        let answer = exchange(&daemon, &bytes);
        let said = String::from_utf8_lossy(&answer);
        let sent = String::from_utf8_lossy(&bytes);
        let status = said
            .split(' ')
            .nth(1)
            .and_then(|code| code.parse::<u16>().ok());
        let Some(status) = status else {
            panic!("{sent:?} is not answered: {said:?}");
        };
        assert!(status < 500, "{sent:?}: {said}");
    }
    let status = request(&daemon.socket(), "GET", "/v1/status", None);
    assert_eq!(status.status, 200);
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
