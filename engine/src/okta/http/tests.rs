//! The client against a scripted server: authorization, paging links, faults, rate limits.

use secrecy::SecretString;

use super::*;
use crate::okta::testing::{Act, Ears, Seen, Server, TestClock, answer};

const TOKEN: &str = r#"{"token_type":"Bearer","expires_in":3600,"access_token":"t0k3n"}"#;

fn is_token(seen: &Seen) -> bool {
    seen.path == "/oauth2/v1/token"
}

struct Setup {
    server: Server,
    http: Http,
    ears: Arc<Ears>,
    clock: Arc<TestClock>,
}

fn setup(
    change: impl FnOnce(&mut HttpOptions),
    script: impl Fn(&Seen, usize) -> Act + Send + Sync + 'static,
) -> Setup {
    let server = Server::start(script);
    let clock = TestClock::at("2026-05-01T12:00:00Z");
    let ears = Arc::new(Ears::default());
    let credentials = Credentials::ClientSecret {
        client_id: "0oaclient".to_owned(),
        secret: SecretString::from("s3cret"),
    };
    let domain: OktaDomain = server.url.parse().unwrap();
    let shared: Arc<dyn Monitor> = Arc::<Ears>::clone(&ears);
    let mut options =
        HttpOptions::new(domain, credentials, Arc::<TestClock>::clone(&clock), shared);
    options.scopes = vec!["okta.users.read".to_owned(), "okta.groups.read".to_owned()];
    change(&mut options);
    Setup {
        server,
        http: Http::new(options).unwrap(),
        ears,
        clock,
    }
}

fn get(setup: &Setup, path: &str) -> Result<Reply, OktaError> {
    setup.http.send(&Call::get(path))
}

#[test]
fn the_token_is_asked_for_once_with_basic_authentication_and_used_as_bearer() {
    let setup = setup(
        |_| {},
        |seen, _| {
            if is_token(seen) {
                answer(200, TOKEN)
            } else {
                answer(200, "[]")
            }
        },
    );
    get(&setup, "/api/v1/users").unwrap();
    get(&setup, "/api/v1/groups").unwrap();
    assert_eq!(
        setup.server.paths(),
        ["/oauth2/v1/token", "/api/v1/users", "/api/v1/groups"]
    );
    let seen = setup.server.seen.lock().unwrap();
    assert_eq!(
        (seen[0].method.as_str(), seen[1].method.as_str()),
        ("POST", "GET")
    );
    assert_eq!(
        seen[0].header("authorization"),
        Some("Basic MG9hY2xpZW50OnMzY3JldA==")
    );
    assert_eq!(
        seen[0].body,
        "grant_type=client_credentials&scope=okta.users.read+okta.groups.read"
    );
    assert_eq!(seen[1].header("authorization"), Some("Bearer t0k3n"));
    assert_eq!(seen[1].header("accept"), Some("application/json"));
    assert!(
        seen[1]
            .header("user-agent")
            .unwrap()
            .starts_with("orgkeep/")
    );
}

#[test]
fn the_token_is_renewed_at_four_fifths_of_its_life() {
    let setup = setup(
        |_| {},
        |seen, _| {
            if is_token(seen) {
                answer(200, TOKEN)
            } else {
                answer(200, "[]")
            }
        },
    );
    get(&setup, "/api/v1/users").unwrap();
    setup.clock.sleep(Duration::from_secs(2879));
    get(&setup, "/api/v1/users").unwrap();
    assert_eq!(setup.server.count("/oauth2"), 1);
    setup.clock.sleep(Duration::from_secs(2));
    get(&setup, "/api/v1/users").unwrap();
    assert_eq!(setup.server.count("/oauth2"), 2);
}

#[test]
fn a_revoked_token_is_renewed_once_and_a_missing_feature_is_no_refused_token() {
    let invalid = r#"{"errorCode":"E0000011","errorSummary":"Invalid token provided"}"#;
    let setup = setup(
        |_| {},
        move |seen, number| match seen.path.as_str() {
            "/oauth2/v1/token" => answer(200, TOKEN),
            "/api/v1/once" if number == 2 => answer(401, invalid),
            "/api/v1/never" => answer(401, invalid),
            "/api/v1/feature" => answer(401, r#"{"errorCode":"E0000015","errorSummary":"x"}"#),
            _ => answer(200, "[]"),
        },
    );
    get(&setup, "/api/v1/once").unwrap();
    assert_eq!(setup.server.count("/oauth2"), 2);
    assert_eq!(
        get(&setup, "/api/v1/never").unwrap_err().code(),
        "unauthorized"
    );
    assert_eq!(setup.server.count("/oauth2"), 3);
    assert_eq!(
        get(&setup, "/api/v1/feature").unwrap_err().code(),
        "not_available"
    );
    assert_eq!(setup.server.count("/oauth2"), 3);
}

#[test]
fn scopes_that_are_not_granted_are_found_by_halving() {
    let wanted: Vec<String> = (0..16).map(|n| format!("okta.s{n:02}.read")).collect();
    let setup = setup(
        |options| options.scopes = wanted.clone(),
        |seen, _| {
            let bad = seen.body.contains("s03") || seen.body.contains("s11");
            if is_token(seen) && bad {
                answer(400, r#"{"error":"invalid_scope"}"#)
            } else {
                answer(200, TOKEN)
            }
        },
    );
    let granted = setup.http.granted_scopes().unwrap().unwrap();
    assert_eq!(granted.len(), 14);
    assert!(
        !granted
            .iter()
            .any(|scope| scope.contains("s03") || scope.contains("s11"))
    );
    assert!(
        setup.server.count("/oauth2") <= 20,
        "{}",
        setup.server.count("/oauth2")
    );
}

#[test]
fn refusals_of_the_token_endpoint_are_told_apart() {
    for (status, body, code) in [
        (401, r#"{"error":"invalid_client"}"#, "unauthorized"),
        (403, r#"{"error":"access_denied"}"#, "unauthorized"),
        (400, r#"{"error":"invalid_dpop_proof"}"#, "dpop_required"),
        (400, r#"{"error":"consent_required"}"#, "missing_scopes"),
        (
            404,
            r#"{"status":404,"message":"Resource not found"}"#,
            "not_okta",
        ),
        (200, "<html></html>", "not_okta"),
    ] {
        let setup = setup(|_| {}, move |_, _| answer(status, body));
        assert_eq!(
            get(&setup, "/api/v1/users").unwrap_err().code(),
            code,
            "{status} {body}"
        );
    }
}

#[test]
fn an_api_token_is_sent_as_ssws_and_never_renewed() {
    let setup = setup(
        |options| options.credentials = Credentials::ApiToken("00token".into()),
        |seen, _| {
            let known = seen.header("authorization") == Some("SSWS 00token");
            if known && seen.path == "/good" {
                answer(200, "{}")
            } else {
                answer(401, r#"{"errorCode":"E0000011"}"#)
            }
        },
    );
    get(&setup, "/good").unwrap();
    assert_eq!(get(&setup, "/bad").unwrap_err().code(), "unauthorized");
    assert_eq!(setup.server.paths(), ["/good", "/bad"]);
    assert_eq!(setup.http.granted_scopes().unwrap(), None);
}

#[test]
fn reads_survive_server_errors_resets_and_cut_bodies() {
    let setup = setup(
        |_| {},
        |seen, number| match (is_token(seen), number) {
            (true, _) => answer(200, TOKEN),
            (_, 2) => answer(500, r#"{"errorCode":"E0000009"}"#),
            (_, 3) => Act::Reset,
            (_, 4) => Act::Truncate("[{\"id\":\"1\"},{\"id\":\"2\"}]".to_owned()),
            (_, 5) => answer(200, "[{\"id\":\"1\"},{\"id\""),
            _ => answer(200, "[{\"id\":\"1\"},{\"id\":\"2\"}]"),
        },
    );
    assert_eq!(
        get(&setup, "/api/v1/users").unwrap().body,
        b"[{\"id\":\"1\"},{\"id\":\"2\"}]"
    );
    assert_eq!(setup.ears.requests(), 6);
}

#[test]
fn a_read_that_keeps_failing_is_given_up() {
    let setup = setup(
        |_| {},
        |seen, _| {
            if is_token(seen) {
                answer(200, TOKEN)
            } else {
                answer(503, "busy")
            }
        },
    );
    assert_eq!(
        get(&setup, "/api/v1/users").unwrap_err().code(),
        "okta_failed"
    );
    assert_eq!(setup.server.count("/api"), 5);
}

#[test]
fn a_create_is_never_sent_twice_when_its_answer_is_lost() {
    for act in [
        Act::Reset,
        answer(502, ""),
        Act::Truncate("{\"id\":\"1\"}".to_owned()),
    ] {
        let setup = setup(
            |_| {},
            move |seen, _| {
                if is_token(seen) {
                    answer(200, TOKEN)
                } else {
                    act.clone()
                }
            },
        );
        let create = Call {
            method: Method::POST,
            path: "/api/v1/groups".to_owned(),
            body: Some(b"{}".to_vec()),
            safe_to_repeat: false,
        };
        assert_eq!(setup.http.send(&create).unwrap_err().code(), "answer_lost");
        assert_eq!(setup.server.count("/api"), 1);
    }
}

#[test]
fn a_rate_limit_is_waited_out_by_the_servers_clock() {
    // The server's clock is an hour ahead of ours: only its own two times count.
    let date = "Fri, 01 May 2026 13:00:00 GMT";
    let reset = "1777640430";
    let setup = setup(
        |_| {},
        move |seen, number| {
            if is_token(seen) {
                return answer(200, TOKEN);
            }
            let limited = answer(429, r#"{"errorCode":"E0000047"}"#);
            let act = if number < 4 {
                limited
            } else {
                answer(200, "[]")
            };
            act.with("Date", date)
                .with("X-Rate-Limit-Limit", "100")
                .with("x-rate-limit-remaining", "0")
                .with("x-rate-limit-reset", reset)
        },
    );
    let before = setup.clock.now();
    get(&setup, "/api/v1/users").unwrap();
    let waited = setup.clock.now().duration_since(before).as_secs();
    assert!((62..=63).contains(&waited), "{waited}");
    assert!(setup.ears.waited_millis() >= 62_000);
}

#[test]
fn a_concurrency_limit_is_waited_out_briefly_even_for_a_create() {
    let setup = setup(
        |_| {},
        |seen, number| {
            if is_token(seen) {
                return answer(200, TOKEN);
            }
            let act = if number < 4 {
                answer(429, "{}")
            } else {
                answer(200, "{}")
            };
            act.with("x-rate-limit-limit", "0")
                .with("x-rate-limit-remaining", "0")
                .with("x-rate-limit-reset", "1777640999")
        },
    );
    let before = setup.clock.now();
    let create = Call {
        method: Method::POST,
        path: "/api/v1/groups".to_owned(),
        body: None,
        safe_to_repeat: false,
    };
    setup.http.send(&create).unwrap();
    let waited = setup.clock.now().duration_since(before).as_millis();
    assert!((2000..=4500).contains(&waited), "{waited}");
}

#[test]
fn at_most_the_share_of_a_window_is_used() {
    // 10 a window, at 30 per cent: 3 requests, then the next window.
    let setup = setup(
        |options| {
            options.share_pct = 30;
            options.credentials = Credentials::ApiToken("t".into());
        },
        |_, number| {
            let window = (number - 1) / 3;
            let left = 9 - (number - 1) % 3;
            answer(200, "[]")
                .with("date", "Fri, 01 May 2026 12:00:00 GMT")
                .with("x-rate-limit-limit", "10")
                .with("x-rate-limit-remaining", &left.to_string())
                .with(
                    "x-rate-limit-reset",
                    &(1_777_636_860 + 60 * window).to_string(),
                )
        },
    );
    let start = setup.clock.now();
    let mut at = Vec::new();
    for _ in 0..7 {
        get(&setup, "/api/v1/apps").unwrap();
        at.push(setup.clock.now().duration_since(start).as_secs());
    }
    assert_eq!(at[2], 0);
    assert!(
        at[3] >= 60 && at[5] == at[3] && at[6] >= at[3] + 60,
        "{at:?}"
    );
}

#[test]
fn waiting_ends_when_the_job_is_cancelled() {
    let setup = setup(
        |_| {},
        |seen, _| {
            if is_token(seen) {
                answer(200, TOKEN)
            } else {
                answer(429, "{}")
            }
        },
    );
    setup
        .ears
        .cancelled
        .store(true, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(
        get(&setup, "/api/v1/users").unwrap_err().code(),
        "cancelled"
    );
}

#[test]
fn next_pages_are_taken_from_the_orgs_own_hosts_only() {
    let setup = setup(
        |_| {},
        |seen, _| {
            let link = |host: &str| {
                format!("<https://{host}/api/v1/users?after=x%2Fy&limit=2>; rel=\"next\"")
            };
            match seen.path.as_str() {
                "/oauth2/v1/token" => answer(200, TOKEN),
                "/.well-known/okta-organization" => answer(
                    200,
                    r#"{"id":"00o1","_links":{"organization":{"href":"https://acme.okta.com"}}}"#,
                ),
                "/own" => answer(200, "[]")
                    .with("link", "<https://127.0.0.1/a>; rel=\"self\"")
                    .with("Link", &link("127.0.0.1")),
                "/known" => answer(200, "[]").with("Link", &link("acme-admin.okta.com")),
                "/foreign" => answer(200, "[]").with("Link", &link("evil.example.com")),
                "/body" => answer(
                    200,
                    r#"{"roles":[],"_links":{"next":{"href":"https://acme.okta.com/api/v1/iam/roles?after=1"}}}"#,
                ),
                _ => answer(200, "[]"),
            }
        },
    );
    let wanted = Some("/api/v1/users?after=x%2Fy&limit=2".to_owned());
    assert_eq!(get(&setup, "/own").unwrap().next, wanted);
    assert_eq!(setup.server.count("/.well-known"), 0);
    assert_eq!(get(&setup, "/known").unwrap().next, wanted);
    assert_eq!(
        get(&setup, "/body").unwrap().next,
        Some("/api/v1/iam/roles?after=1".to_owned())
    );
    assert_eq!(
        get(&setup, "/foreign").unwrap_err().code(),
        "malformed_answer"
    );
    assert_eq!(setup.server.count("/.well-known"), 1);
}

#[test]
fn errors_of_the_api_are_told_apart_and_show_no_values() {
    let secret = "jane@example.com";
    let body = move |code: &str| {
        format!(
            r#"{{"errorCode":"{code}","errorSummary":"{secret}","errorCauses":[{{"errorSummary":"{secret}"}}]}}"#
        )
    };
    let setup = setup(
        |_| {},
        move |seen, _| match seen.path.as_str() {
            "/oauth2/v1/token" => answer(200, TOKEN),
            "/400" => answer(400, &body("E0000001")),
            "/403" => answer(403, &body("E0000006")),
            "/scope" => answer(403, "{}").with(
                "WWW-Authenticate",
                r#"Bearer error="insufficient_scope", scope="okta.users.read""#,
            ),
            "/404" => answer(404, &body("E0000007")),
            "/path" => answer(404, &body("E0000008")),
            "/410" => answer(410, &body("E0000215")),
            _ => answer(404, r#"{"status":404,"message":"Resource not found"}"#),
        },
    );
    let error = |path| get(&setup, path).unwrap_err();
    for (path, code) in [
        ("/400", "okta_refused"),
        ("/403", "okta_refused"),
        ("/scope", "missing_scopes"),
        ("/404", "not_found"),
        ("/path", "not_available"),
        ("/410", "not_available"),
        ("/edge", "not_found"),
    ] {
        let error = error(path);
        assert_eq!(error.code(), code, "{path}");
        assert!(!format!("{error} {error:?}").contains(secret), "{error:?}");
    }
    assert!(error("/404").is_gone());
    assert!(!error("/edge").is_gone());
    let OktaError::Refused { causes, .. } = error("/400") else {
        unreachable!()
    };
    assert_eq!(causes.0, [secret, secret]);
}

#[test]
fn nobody_listening_is_unreachable_and_a_stranger_is_no_org() {
    let setup = setup(
        |_| {},
        |_, _| answer(404, r#"{"status":404,"message":"Resource not found"}"#),
    );
    assert_eq!(setup.http.organization().unwrap_err().code(), "not_okta");
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let options = HttpOptions::new(
        format!("http://{free}").parse().unwrap(),
        Credentials::ApiToken("t".into()),
        TestClock::at("2026-05-01T12:00:00Z"),
        Arc::new(Ears::default()),
    );
    let error = Http::new(options).unwrap().organization().unwrap_err();
    assert_eq!(error.code(), "unreachable");
    assert!(error.hint().unwrap().contains("127.0.0.1"));
}

#[test]
fn the_organization_tells_its_id_and_hosts() {
    let body = r#"{"id":"00o1","_links":{"organization":{"href":"https://acme.okta.com"},"alternate":{"href":"https://login.acme.example"}}}"#;
    let setup = setup(|_| {}, move |_, _| answer(200, body));
    let organization = setup.http.organization().unwrap();
    assert_eq!(organization.id, "00o1");
    assert_eq!(organization.hosts, ["acme.okta.com", "login.acme.example"]);
}

/// `[{"id":"1"}]`, packed.
const PACKED: [u8; 32] = [
    0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0x8b, 0xae, 0x56, 0xca, 0x4c, 0x51,
    0xb2, 0x52, 0x32, 0x54, 0xaa, 0x8d, 0x05, 0x00, 0x2b, 0xf0, 0x21, 0xbe, 0x0c, 0x00, 0x00, 0x00,
];

fn raw(head: &str, body: &[u8]) -> Act {
    let mut bytes = format!("{head}\r\n\r\n").into_bytes();
    bytes.extend_from_slice(body);
    Act::Raw(bytes)
}

/// A client with an API token and a server that gives every request the same answer.
fn always(act: Act) -> Setup {
    setup(
        |options| options.credentials = Credentials::ApiToken("t".into()),
        move |_, _| act.clone(),
    )
}

#[test]
fn bodies_come_packed_in_chunks_or_up_to_the_end_of_the_connection() {
    let whole = b"[{\"id\":\"1\"}]";
    for act in [
        raw(
            &format!(
                "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}",
                PACKED.len()
            ),
            &PACKED,
        ),
        raw(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked",
            b"5\r\n[{\"id\r\n7\r\n\":\"1\"}]\r\n0\r\n\r\n",
        ),
        raw("HTTP/1.0 200 OK", whole),
    ] {
        let setup = always(act);
        let reply = get(&setup, "/api/v1/users").unwrap();
        assert_eq!(reply.body, whole);
        assert_eq!((reply.date, reply.rate), (None, None));
    }
}

#[test]
fn a_body_that_is_cut_off_in_whatever_form_is_never_taken_for_the_whole() {
    for act in [
        raw(
            &format!(
                "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}",
                PACKED.len() - 6
            ),
            &PACKED[..PACKED.len() - 6],
        ),
        raw(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked",
            b"5\r\n[{\"id\r\n",
        ),
        raw("HTTP/1.0 200 OK", b"[{\"id\":\"1\"}"),
        answer(200, "<html><body>Please wait</body></html>"),
        answer(200, ""),
    ] {
        let setup = always(act);
        let error = get(&setup, "/api/v1/users").unwrap_err();
        assert!(
            matches!(error.code(), "malformed_answer" | "unreachable"),
            "{error:?}"
        );
        // A try on a connection that the server has just closed does not reach it.
        let asked = setup.server.count("/api");
        assert!(
            (3..=5).contains(&asked),
            "asked for again each time: {asked}"
        );
    }
}

#[test]
fn a_redirect_is_not_followed() {
    for status in [301, 302, 307, 308] {
        let setup = always(answer(status, "").with("Location", "https://evil.example.com/"));
        let OktaError::Refused { status: seen, .. } = get(&setup, "/api/v1/users").unwrap_err()
        else {
            unreachable!()
        };
        assert_eq!(seen, status);
        assert_eq!(setup.server.count("/"), 1);
        assert_eq!(setup.http.organization().unwrap_err().code(), "not_okta");
    }
}

#[test]
fn a_link_that_cannot_be_read_is_an_error_and_not_the_end_of_the_list() {
    let next = "<http://127.0.0.1/api/v1/behaviors?after=B\u{fc}ro>; rel=\"next\"";
    let setup = always(answer(200, "[]").with("link", next));
    assert_eq!(
        get(&setup, "/api/v1/behaviors").unwrap().next.as_deref(),
        Some("/api/v1/behaviors?after=B%C3%BCro")
    );
    let latin = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nLink: <http://127.0.0.1/a?after=\xfc>; rel=\"next\"\r\n\r\n[]";
    let unclosed = answer(200, "[]").with("Link", "<http://127.0.0.1/a?after=1; rel=\"next\"");
    for act in [Act::Raw(latin.to_vec()), unclosed] {
        let setup = always(act);
        assert_eq!(get(&setup, "/a").unwrap_err().code(), "malformed_answer");
    }
}

#[test]
fn rate_limit_headers_that_are_missing_or_absurd_are_waited_out_in_bounds() {
    let some: [&[(&str, &str)]; 5] = [
        &[],
        &[("x-rate-limit-reset", "1777640430")],
        &[
            ("x-rate-limit-limit", "none"),
            ("x-rate-limit-remaining", "-1"),
            ("x-rate-limit-reset", "soon"),
        ],
        // Milliseconds, and a time in the past.
        &[
            ("x-rate-limit-limit", "100"),
            ("x-rate-limit-remaining", "0"),
            ("x-rate-limit-reset", "1777640430000"),
        ],
        &[
            ("x-rate-limit-limit", "100"),
            ("x-rate-limit-remaining", "0"),
            ("x-rate-limit-reset", "5"),
        ],
    ];
    for headers in some {
        let setup = setup(
            |options| options.credentials = Credentials::ApiToken("t".into()),
            move |_, number| {
                let status = if number < 4 { 429 } else { 200 };
                headers
                    .iter()
                    .fold(answer(status, "[]"), |act, (name, value)| {
                        act.with(name, value)
                    })
            },
        );
        let before = setup.clock.now();
        get(&setup, "/api/v1/users").unwrap();
        let waited = setup.clock.now().duration_since(before).as_secs();
        assert!((3..=200).contains(&waited), "{headers:?}: {waited}");
        assert!(setup.ears.waited_millis() > 0);
    }
}

#[test]
fn a_rate_limit_that_never_clears_is_given_up_within_two_hours_and_says_so() {
    let setup = always(
        answer(429, "")
            .with("x-rate-limit-limit", "100")
            .with("x-rate-limit-remaining", "0")
            .with("x-rate-limit-reset", "99999999999"),
    );
    let before = setup.clock.now();
    let error = get(&setup, "/api/v1/users").unwrap_err();
    assert_eq!(error.code(), "rate_limited");
    assert!(error.hint().unwrap().contains("share"));
    let waited = setup.clock.now().duration_since(before).as_secs();
    assert!(waited <= 2 * 3600, "{waited}");
}

#[test]
fn a_session_that_is_invalid_is_renewed_once() {
    let setup = setup(
        |_| {},
        |seen, number| match (is_token(seen), number) {
            (true, _) => answer(200, TOKEN),
            (_, 2) => answer(403, r#"{"errorCode":"E0000005"}"#),
            _ => answer(200, "[]"),
        },
    );
    get(&setup, "/api/v1/users").unwrap();
    assert_eq!(setup.server.count("/oauth2"), 2);
    let refused = always(answer(403, r#"{"errorCode":"E0000005"}"#));
    assert_eq!(get(&refused, "/a").unwrap_err().code(), "unauthorized");
    let forbidden = always(answer(403, r#"{"errorCode":"E0000006"}"#));
    assert_eq!(get(&forbidden, "/a").unwrap_err().code(), "okta_refused");
}

#[test]
fn header_names_and_values_come_in_any_case() {
    let setup = always(
        answer(200, "[]")
            .with(
                "LINK",
                "<http://127.0.0.1/a?after=1>; rel=\"next\", <http://127.0.0.1/a>; rel=\"self\"",
            )
            .with("X-RATE-LIMIT-LIMIT", " 50 ")
            .with("X-Rate-Limit-Remaining", "49")
            .with("x-rate-limit-reset", "1777636860")
            .with("DATE", "Fri, 01 May 2026 12:00:00 GMT"),
    );
    let reply = get(&setup, "/a").unwrap();
    assert_eq!(reply.next.as_deref(), Some("/a?after=1"));
    let wanted = RateHeaders {
        limit: 50,
        remaining: 49,
        reset: 1_777_636_860,
    };
    assert_eq!(reply.rate, Some(wanted));
    assert_eq!(
        reply.date,
        Some("2026-05-01T12:00:00Z".parse::<Timestamp>().unwrap())
    );
}

#[test]
fn every_kind_of_write_without_a_body_announces_its_length() {
    for (method, path) in [
        (
            Method::POST,
            "/api/v1/users/00u1/lifecycle/activate?sendEmail=false",
        ),
        (Method::PUT, "/api/v1/groups/00g1/users/00u1"),
        (Method::PUT, "/api/v1/apps/0oa1/policies/rst1"),
    ] {
        let setup = always(answer(204, ""));
        let call = Call {
            method,
            path: path.to_owned(),
            body: None,
            safe_to_repeat: true,
        };
        setup.http.send(&call).unwrap();
        let seen = setup.server.seen.lock().unwrap();
        let lengths: Vec<&str> = seen[0]
            .headers
            .iter()
            .filter(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .map(|(_, value)| value.as_str())
            .collect();
        assert_eq!(lengths, ["0"], "{path}");
        assert_eq!(seen[0].header("transfer-encoding"), None, "{path}");
    }
}

#[test]
fn another_org_at_the_same_address_is_refused() {
    let run = |meant: Option<&str>, body: &'static str| {
        let setup = setup(
            |options| {
                options.credentials = Credentials::ApiToken("t".into());
                options.org_id = meant.map(str::to_owned);
            },
            move |_, _| answer(200, body),
        );
        get(&setup, "/.well-known/okta-organization").map(|reply| reply.status)
    };
    let ours = r#"{"id":"00o1","_links":{}}"#;
    assert_eq!(run(None, ours).unwrap(), 200);
    assert_eq!(run(Some("00o1"), ours).unwrap(), 200);
    let error = run(Some("00o2"), ours).unwrap_err();
    assert_eq!(error.code(), "other_org");
    assert!(error.hint().is_some());
    assert_eq!(run(Some("00o1"), "{}").unwrap_err().code(), "not_okta");
}
