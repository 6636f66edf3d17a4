//! What the client makes of answers, good and bad, and of the terminal it has or has not.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};

use orgkeep_tests::fake::{Asked, FakeDaemon, Told};
use orgkeep_tests::terminal::Terminal;
use orgkeep_tests::wait::until;
use serde_json::{Value, json};

use crate::skipped;

/// A daemon that must not be asked.
fn deaf() -> FakeDaemon {
    FakeDaemon::new(|_| Told::problem(500, "internal"))
}

fn job(state: &str) -> String {
    json!({
        "id": "00000000000000j1", "domain": "acme", "kind": "backup", "trigger": "manual",
        "state": state, "created_at": "2026-01-01T00:00:00.000Z",
        "started_at": "2026-01-01T00:00:01.000Z", "finished_at": null,
        "progress": {
            "phase": "collecting", "done": 1, "total": null, "by_type": {"user": 1},
            "requests": 2, "rate_limited_s": 0, "bytes_new": 3
        },
        "error": null, "result": null,
    })
    .to_string()
}

fn event(seq: u64, state: &str) -> String {
    let data = format!(
        r#"{{"seq":{seq},"at":"2026-01-01T00:00:02.000Z","job":{},"warning":null}}"#,
        job(state)
    );
    format!("id: {seq}\nevent: job\ndata: {data}\n\n")
}

fn events(body: String) -> Told {
    Told::of("text/event-stream", body)
}

fn card(name: &str) -> Told {
    Told::json(card_of(name).to_string())
}

fn cards(names: &[&str]) -> Told {
    let items: Vec<Value> = names.iter().map(|name| card_of(name)).collect();
    Told::json(json!({"items": items, "next": null}).to_string())
}

fn card_of(name: &str) -> Value {
    json!({
        "name": name, "okta_domain": "https://acme.okta.com", "org_id": "00o1",
        "added_at": "2026-01-01T00:00:00.000Z", "storage_region": "local",
        "backup_enabled": true, "app_status": "connected", "app_status_detail": null,
        "scopes": {"granted": [], "missing": []}, "restore_scopes_missing": [],
        "key_management": "not_enabled", "schedule": "@daily", "timezone": "UTC",
        "next_backup_at": null, "retention": "last=5", "last_backup": null,
        "last_good_snapshot": null, "protected_items": {}, "warnings": [],
    })
}

fn lines(daemon: &FakeDaemon) -> Vec<String> {
    daemon.asked().iter().map(Asked::line).collect()
}

#[test]
fn lists_follow_all_pages_and_print_each_document_as_received() {
    let daemon = FakeDaemon::new(|asked| {
        Told::json(if asked.target.contains("after=p%2F2") {
            r#"{"next":null,"items":[{"z":1e2,"a":"ü"}]}"#
        } else {
            r#"{"items":[{"b":12345678901234567890.10},{"a":{}}],"next":"p/2"}"#
        })
    });
    let ran = daemon.ctl(&["audit", "--json"]).success();
    assert_eq!(
        ran.stdout,
        "{\"b\":12345678901234567890.10}\n{\"a\":{}}\n{\"z\":1e2,\"a\":\"ü\"}\n"
    );
    assert_eq!(ran.stderr, "");
}

#[test]
fn an_empty_list_prints_nothing() {
    let daemon = FakeDaemon::new(|_| Told::json(r#"{"items":[],"next":null}"#));
    for command in [
        ["domains", "--json"],
        ["jobs", "--json"],
        ["audit", "--json"],
    ] {
        assert_eq!(daemon.ctl(&command).success().stdout, "");
    }
    let none = FakeDaemon::new(|_| Told::of("application/x-ndjson", ""));
    assert_eq!(
        none.ctl(&["diff", "aa", "bb", "--json"]).success().stdout,
        ""
    );
}

#[test]
fn each_refusal_has_its_exit_code_and_is_told_on_stderr_alone() {
    for (status, exit) in [
        (400, 2),
        (422, 2),
        (403, 4),
        (404, 6),
        (409, 7),
        (424, 1),
        (500, 1),
    ] {
        let daemon = FakeDaemon::new(move |_| Told::problem(status, "some_word"));
        let ran = daemon.ctl(&["status", "--json"]).code(exit);
        assert_eq!(ran.stdout, "");
        assert_eq!(ran.problem()["code"], "some_word");
        let ran = daemon.ctl(&["status"]).code(exit);
        assert_eq!(ran.stdout, "");
        assert_eq!(
            ran.stderr,
            "error (some_word): it did not work\ndo something about it\n"
        );
    }
    let daemon = FakeDaemon::new(|_| Told::of("text/html", "<html>").with_status(404));
    daemon.ctl(&["status"]).code(6);
}

#[test]
fn a_daemon_that_is_not_there_is_exit_5_and_says_what_to_do() {
    let daemon = deaf();
    let nowhere = daemon.path("nowhere.sock");
    let ran = daemon
        .ctl(&["status", "--socket", nowhere.to_str().unwrap()])
        .code(5);
    assert!(ran.stderr.contains("nowhere.sock"), "{ran:?}");
    assert!(ran.stderr.contains("ORGKEEP_SOCKET"), "{ran:?}");
    File::create(daemon.path("stale.sock")).unwrap();
    let stale = daemon.path("stale.sock");
    daemon
        .ctl(&["--socket", stale.to_str().unwrap(), "status"])
        .code(5);
    let broken = FakeDaemon::new(|_| Told::json("{}").breaking_off());
    broken.ctl(&["status"]).code(5);
}

#[test]
fn flags_may_stand_before_and_after_the_command() {
    let daemon = FakeDaemon::new(|_| Told::json(r#"{"backup":[],"restore":[]}"#));
    let socket = daemon.path("orgkeep.sock");
    let socket = socket.to_str().unwrap();
    for arguments in [
        ["--json", "--socket", socket, "domains", "scopes"],
        ["domains", "--json", "--socket", socket, "scopes"],
        ["domains", "scopes", "--socket", socket, "--json"],
    ] {
        let mut command = daemon.ctl_command(&arguments);
        let ran = orgkeep_tests::command::run(command.env_remove("ORGKEEP_SOCKET"), "").success();
        assert_eq!(ran.stdout, "{\"backup\":[],\"restore\":[]}\n");
    }
}

#[test]
fn ids_are_one_segment_of_the_path_whatever_they_hold() {
    let daemon = FakeDaemon::new(|_| Told::json("{}"));
    for id in ["00g1/00u2", "..", "a b?c#d", "%2e"] {
        daemon
            .ctl(&[
                "objects",
                "show",
                "group_member",
                id,
                "--snapshot",
                "ab",
                "--json",
            ])
            .success();
    }
    assert_eq!(
        lines(&daemon),
        [
            "GET /v1/snapshots/ab/objects/group_member/00g1%2F00u2",
            "GET /v1/snapshots/ab/objects/group_member/%2E%2E",
            "GET /v1/snapshots/ab/objects/group_member/a%20b%3Fc%23d",
            "GET /v1/snapshots/ab/objects/group_member/%252e",
        ]
    );
}

#[test]
fn the_domain_may_be_left_out_where_there_is_exactly_one() {
    let one = FakeDaemon::new(|asked| match asked.target.as_str() {
        "/v1/domains" => cards(&["acme"]),
        _ => Told::json(job("queued")),
    });
    one.ctl(&["backup-now", "--json"]).success();
    assert_eq!(
        lines(&one),
        ["GET /v1/domains", "POST /v1/domains/acme/backups"]
    );
    assert_eq!(one.asked()[1].body, r#"{"mode":"incremental"}"#);
    for names in [&[] as &[&str], &["acme", "beta"]] {
        let daemon = FakeDaemon::new(move |_| cards(names));
        daemon.ctl(&["backup-now", "--json"]).code(2);
        assert_eq!(lines(&daemon), ["GET /v1/domains"]);
    }
}

#[test]
fn following_takes_a_broken_stream_up_where_it_broke_off() {
    let streams = AtomicUsize::new(0);
    let daemon = FakeDaemon::new(move |asked| {
        if asked.target.ends_with("/events") {
            return match streams.fetch_add(1, Ordering::SeqCst) {
                0 => events(event(4, "running") + "id: 5\ndata: {cut").breaking_off(),
                _ => events(event(6, "completed_with_errors")),
            };
        }
        let ended = asked.method == "GET" && streams.load(Ordering::SeqCst) > 1;
        Told::json(job(if ended {
            "completed_with_errors"
        } else {
            "running"
        }))
    });
    let ran = daemon
        .ctl(&["backup-now", "acme", "--wait", "--json"])
        .code(3);
    assert_eq!(ran.json()["state"], "completed_with_errors");
    assert_eq!(ran.stderr, "");
    let resumed: Vec<_> = daemon
        .asked()
        .iter()
        .filter(|asked| asked.target.ends_with("/events"))
        .map(|asked| asked.header("last-event-id").map(str::to_owned))
        .collect();
    assert_eq!(resumed, [None, Some("4".to_owned())]);
}

#[test]
fn following_asks_for_the_job_where_there_are_no_events() {
    for (state, exit) in [("succeeded", 0), ("failed", 1), ("cancelled", 1)] {
        let asked_for = AtomicUsize::new(0);
        let daemon = FakeDaemon::new(move |asked| {
            if asked.target.ends_with("/events") {
                return Told::problem(503, "unavailable");
            }
            let ended = asked_for.fetch_add(1, Ordering::SeqCst) > 1;
            Told::json(job(if ended { state } else { "running" }))
        });
        let ran = daemon
            .ctl(&["backup-now", "acme", "--wait", "--json"])
            .code(exit);
        assert_eq!(ran.json()["state"], state);
    }
}

#[test]
fn watching_a_job_prints_each_event_as_a_line() {
    let daemon = FakeDaemon::new(|asked| {
        if asked.target.ends_with("/events") {
            return events(event(1, "running") + ": keep-alive\n\n" + &event(2, "succeeded"));
        }
        Told::json(job("succeeded"))
    });
    let ran = daemon.ctl(&["jobs", "watch", "j1", "--json"]).success();
    let states: Vec<_> = ran
        .lines()
        .iter()
        .map(|line| line["job"]["state"].clone())
        .collect();
    assert_eq!(states, ["running", "succeeded"]);
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    // A list without end: the client must notice that nobody reads.
    let daemon = FakeDaemon::new(|_| {
        let items = vec![json!({"padding": "x".repeat(100)}); 1000];
        Told::json(json!({"items": items, "next": "more"}).to_string())
    });
    let mut command = daemon.ctl_command(&["audit", "--json"]);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    drop(stdout);
    let status = until("the client ends", || child.try_wait().unwrap());
    assert_eq!(status.code(), Some(0));
    let mut stderr = String::new();
    std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut stderr).unwrap();
    assert_eq!(stderr, "");
}

#[test]
fn output_that_is_not_a_terminal_has_no_colour_and_names_cannot_control_one() {
    let daemon = FakeDaemon::new(|_| {
        let line = json!({
            "change": "removed", "type": "user", "id": "00u1", "name": "\u{1b}[31mr\red",
            "attributes": null, "actor": null, "at": null
        });
        Told::of("application/x-ndjson", format!("{line}\n"))
    });
    let ran = daemon.ctl(&["diff", "aa", "bb"]).success();
    assert_eq!(
        ran.stdout,
        format!("- {:<26} {:<22} \u{fffd}[31mr\u{fffd}ed\n", "user", "00u1")
    );
}

#[test]
fn nothing_is_asked_without_a_terminal() {
    let daemon = deaf();
    for arguments in [
        &["domains", "remove", "acme"] as &[&str],
        &["domains", "remove", "acme", "--erase", "--json"],
        &["domains", "remove", "acme", "--yes", "other"],
        &["domains", "add", "acme.okta.com"],
        &["domains", "reauthorize", "acme"],
        &["restore", "now", "acme", "--snapshot", "latest"],
    ] {
        let ran = daemon.ctl(arguments).code(2);
        assert_eq!(ran.stdout, "", "{arguments:?}");
    }
    assert!(daemon.asked().is_empty(), "{daemon:?}");
}

#[test]
fn secrets_come_from_files_and_stdin_and_stand_in_the_body_alone() {
    let daemon = FakeDaemon::new(|_| Told::problem(409, "name_taken"));
    let file = daemon.path("secret");
    fs::write(&file, "hush-hush\n").unwrap();
    let from = |source: &str, input: &str| {
        let arguments = [
            "domains",
            "add",
            "acme.okta.com",
            "--client-id",
            "0oa1",
            "--client-secret-file",
            source,
        ];
        orgkeep_tests::command::run(&mut daemon.ctl_command(&arguments), input)
    };
    from(file.to_str().unwrap(), "").code(7);
    from("-", "hush-hush").code(7);
    for asked in daemon.asked() {
        assert_eq!(asked.line(), "POST /v1/domains");
        let body: Value = serde_json::from_str(&asked.body).unwrap();
        assert_eq!(
            body["credentials"],
            json!({"kind": "client_secret", "client_id": "0oa1", "client_secret": "hush-hush"})
        );
    }
    let count = daemon.asked().len();
    assert_eq!(count, 2);
    from("-", " \n").code(2);
    from("/nowhere/at/all", "").code(2);
    assert_eq!(daemon.asked().len(), count);
}

#[test]
fn adding_a_domain_on_a_terminal_walks_through_the_steps() {
    let daemon = FakeDaemon::new(|asked| match asked.line().as_str() {
        "PUT /v1/domains/acme/key-management" | "POST /v1/domains" | "GET /v1/domains/acme" => {
            card("acme")
        }
        "PATCH /v1/domains/acme/settings" if asked.body.contains("every never") => {
            Told::problem(422, "invalid_schedule")
        }
        _ => Told::json(
            r#"{"schedule":"@daily","timezone":"UTC","retention":"last=5","rate_limit_share":50,
                "full_every":"7d","types":null}"#,
        ),
    });
    let command = daemon.ctl_command(&["domains", "add", "acme.okta.com"]);
    let Some(mut terminal) = Terminal::run(&command) else {
        return skipped("there is no setsid to make a terminal with");
    };
    for (question, answer) in [
        ("Choose [1]: ", ""),
        ("Client id: ", "0oa1"),
        ("Client secret: ", "hush-hush"),
        ("Enable key management now? [Y/n]: ", "y"),
        ("Save these settings? [Y/n]: ", "n"),
        ("Schedule [@daily]: ", "every never"),
        ("Time zone [UTC]: ", ""),
        ("Retention [last=5]: ", ""),
        ("Types, separated by commas [all]: ", "user, group"),
        ("do something about it", ""),
    ] {
        terminal.expect(question);
        if question.ends_with(": ") {
            terminal.type_line(answer);
        }
    }
    terminal.expect("Save these settings? [Y/n]: ");
    terminal.type_line("");
    terminal.expect("key management");
    assert_eq!(terminal.end(), Some(0));
    assert!(
        !terminal.screen().contains("hush-hush"),
        "{}",
        terminal.screen()
    );
    assert_eq!(
        lines(&daemon),
        [
            "POST /v1/domains",
            "PUT /v1/domains/acme/key-management",
            "GET /v1/domains/acme/settings",
            "PATCH /v1/domains/acme/settings",
            "GET /v1/domains/acme/settings",
            "GET /v1/domains/acme",
        ]
    );
    let patch: Value = serde_json::from_str(&daemon.asked()[3].body).unwrap();
    assert_eq!(patch["types"], json!(["user", "group"]));
}

#[test]
fn flags_answer_the_questions_beforehand() {
    let daemon = FakeDaemon::new(|_| card("acme"));
    let token = daemon.path("token");
    fs::write(&token, "00token").unwrap();
    let command = daemon.ctl_command(&[
        "domains",
        "add",
        "acme.okta.com",
        "--api-token-file",
        token.to_str().unwrap(),
        "--skip-keys",
        "--schedule",
        "off",
    ]);
    let Some(mut terminal) = Terminal::run(&command) else {
        return skipped("there is no setsid to make a terminal with");
    };
    assert_eq!(terminal.end(), Some(0));
    assert_eq!(lines(&daemon), ["POST /v1/domains", "GET /v1/domains/acme"]);
}

#[test]
fn an_export_refuses_a_directory_that_is_not_empty_before_it_asks() {
    let daemon = deaf();
    fs::create_dir(daemon.path("full")).unwrap();
    File::create(daemon.path("full/mine")).unwrap();
    let full = daemon.path("full");
    let ran = daemon.ctl(&[
        "export",
        "acme",
        "--snapshot",
        "aa",
        "--output",
        full.to_str().unwrap(),
    ]);
    ran.code(2);
    assert!(daemon.asked().is_empty());
}

#[test]
fn an_export_that_breaks_off_or_leaves_its_directory_keeps_nothing() {
    for tar in [
        vec![b'x'; 700],
        tar_of("../evil", b"1"),
        tar_of("a.ndjson", b"1")[..1000].to_vec(),
    ] {
        let daemon = FakeDaemon::new(move |asked| {
            if asked.target.starts_with("/v1/exports/") {
                return Told::of("application/x-tar", tar.clone());
            }
            if asked.target.starts_with("/v1/domains/acme/snapshots/") {
                return Told::json(snapshot());
            }
            Told::json(job("running"))
        });
        let out = daemon.path("out");
        let arguments = [
            "export",
            "acme",
            "--snapshot",
            "latest",
            "--output",
            out.to_str().unwrap(),
        ];
        daemon.ctl(&arguments).code(1);
        assert!(!out.exists() && !daemon.path("evil").exists());
    }
}

fn snapshot() -> String {
    json!({
        "id": "00000000000000aa", "domain": "acme", "created_at": "2026-01-01T00:00:00.000Z",
        "as_of": "2026-01-01T00:00:00.000Z", "parent": null, "complete": true, "pinned": false,
        "objects": 1, "changes": 1, "bytes_new": 1, "coverage": {}
    })
    .to_string()
}

/// A tar with one file, byte by byte: libraries do not write the names that matter here.
fn tar_of(name: &str, content: &[u8]) -> Vec<u8> {
    let mut header = [0u8; 512];
    let mut put = |at: usize, text: &[u8]| header[at..at + text.len()].copy_from_slice(text);
    put(0, name.as_bytes());
    put(100, b"0000644\0");
    put(124, format!("{:011o}\0", content.len()).as_bytes());
    put(136, b"00000000000\0");
    put(148, b"        ");
    put(156, b"0");
    put(257, b"ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut tar = header.to_vec();
    tar.extend_from_slice(content);
    tar.resize(2048, 0);
    tar
}
