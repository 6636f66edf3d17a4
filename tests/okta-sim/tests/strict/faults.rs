use okta_sim::{Auth, Change, Fault, FaultAction, OktaSim};
use serde_json::json;

use crate::common::{call, get, list_all, send};

#[test]
fn planned_faults_hit_as_planned() {
    let sim = OktaSim::with_users(20);
    let ssws = format!("SSWS {}", sim.api_token());
    let list = || send(&sim, &ssws, "GET", "/api/v1/users", None);
    sim.fault(
        Fault::on(
            "GET",
            "/api/v1/users",
            FaultAction::Status {
                status: 503,
                body: false,
            },
        )
        .once(),
    );
    assert_eq!(list().unwrap().status, 503);
    assert_eq!(list().unwrap().status, 200);
    for action in [FaultAction::ResetBefore, FaultAction::Truncate] {
        sim.fault(Fault::on("GET", "/api/v1/users", action.clone()).once());
        assert!(list().is_err(), "{action:?}");
        assert_eq!(list().unwrap().status, 200);
    }
    sim.fault(Fault::on("*", "/api/v1/users", FaultAction::RateLimit { seconds: 1 }).once());
    assert_eq!(list().unwrap().status, 429);
    sim.fault(Fault::on("*", "*", FaultAction::Slow { ms: 4 }).once());
    assert_eq!(list().unwrap().status, 200);
}

#[test]
fn a_lost_answer_leaves_its_write_behind() {
    let sim = OktaSim::with_users(20);
    sim.fault(Fault::on("POST", "/api/v1/groups", FaultAction::ResetAfter).once());
    let ssws = format!("SSWS {}", sim.api_token());
    let body = json!({"profile": {"name": "Twice?"}});
    let before = sim.ids("group").len();
    assert!(send(&sim, &ssws, "POST", "/api/v1/groups", Some(&body)).is_err());
    assert_eq!(sim.ids("group").len(), before + 1);
}

#[test]
fn objects_that_move_between_pages_fool_a_naive_pager() {
    let sim = OktaSim::with_users(250);
    let total = list_all(&sim, "/api/v1/users?limit=50").len();
    sim.fault(
        Fault::on(
            "GET",
            "/api/v1/users",
            FaultAction::MoveObjects { count: 5 },
        )
        .once(),
    );
    let mut seen = list_all(&sim, "/api/v1/users?limit=50");
    seen.sort();
    seen.dedup();
    assert!(seen.len() < total);
}

#[test]
fn the_org_can_change_in_the_middle_and_cursors_can_die() {
    let sim = OktaSim::with_users(250);
    let create = Change {
        method: "POST".to_owned(),
        path: "/api/v1/groups".to_owned(),
        body: Some(json!({"profile": {"name": "Sudden"}})),
    };
    sim.fault(
        Fault::on(
            "GET",
            "/api/v1/groups",
            FaultAction::Change {
                requests: vec![create],
            },
        )
        .once(),
    );
    let groups = get(&sim, "/api/v1/groups").body;
    assert!(
        groups
            .as_array()
            .unwrap()
            .iter()
            .any(|group| group["profile"]["name"] == "Sudden")
    );
    let next = get(&sim, "/api/v1/users?limit=50").next().unwrap();
    sim.fault(Fault::on("GET", "/api/v1/users?*after=*", FaultAction::ExpireCursors).once());
    assert_eq!(get(&sim, &next).status, 400);
    sim.fault(Fault::on("*", "*", FaultAction::RevokeTokens).once());
    assert_eq!(
        get(&sim, "/api/v1/users").status,
        200,
        "an API token lives on"
    );
}

#[test]
fn requests_are_logged_and_an_admins_are_not() {
    let sim = OktaSim::with_users(20);
    get(&sim, "/api/v1/users?limit=5");
    call(
        &sim,
        "POST",
        "/api/v1/groups",
        Some(&json!({"profile": {"name": "A"}})),
    );
    assert!(
        sim.admin()
            .post("/api/v1/groups", json!({"profile": {"name": "B"}}))
            .is_success()
    );
    let log = sim.requests();
    assert_eq!(log.len(), 2);
    assert_eq!(
        (log[0].query.as_str(), log[0].auth),
        ("limit=5", Auth::ApiToken)
    );
    assert_eq!(log[1].body, Some(json!({"profile": {"name": "A"}})));
    assert_eq!((sim.list_requests(), sim.write_requests().len()), (1, 1));
    let over_http = send(&sim, "", "GET", "/_sim/requests", None).unwrap().body;
    assert_eq!(over_http.as_array().unwrap().len(), 2);
    let fault =
        json!({"path": "/api/v1/users", "action": {"kind": "status", "status": 500}, "times": 1});
    assert_eq!(
        send(&sim, "", "POST", "/_sim/faults", Some(&fault))
            .unwrap()
            .status,
        200
    );
    assert_eq!(get(&sim, "/api/v1/users").status, 500);
    send(&sim, "", "DELETE", "/_sim/requests", None).unwrap();
    assert!(sim.requests().is_empty());
}

#[test]
fn tls_is_served_with_the_given_certificate() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let sim = OktaSim::builder()
        .users(20)
        .tls(&made.cert.pem(), &made.signing_key.serialize_pem())
        .start()
        .unwrap();
    let trusted = reqwest::Certificate::from_pem(made.cert.pem().as_bytes()).unwrap();
    let client = reqwest::blocking::Client::builder()
        .no_proxy()
        .tls_certs_only([trusted])
        .build()
        .unwrap();
    let answer = client
        .get(format!("{}/.well-known/okta-organization", sim.url()))
        .send()
        .unwrap();
    assert_eq!(answer.status().as_u16(), 200);
    assert!(sim.url().starts_with("https://localhost:"));
}
