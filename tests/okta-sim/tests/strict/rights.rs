use jsonwebtoken::{Algorithm, EncodingKey, Header};
use okta_sim::OktaSim;
use serde_json::{Value, json};

use crate::common::{Answer, ask_token, ask_token_with, call, get, send};

const USERS: &str = "okta.users.read";

fn assertion(sim: &OktaSim, aud: &str, exp_in: i64, kid: &str, jti: &str) -> Answer {
    let mut header = Header::new(Algorithm::ES256);
    header.kid = Some(kid.to_owned());
    let id = sim.service_client_id();
    let claims =
        json!({"iss": id, "sub": id, "aud": aud, "exp": sim.now_ms() / 1000 + exp_in, "jti": jti});
    let key = EncodingKey::from_ec_pem(sim.service_private_key_pem().as_bytes()).unwrap();
    let token = jsonwebtoken::encode(&header, &claims, &key).unwrap();
    ask_token_with(
        sim,
        &[
            ("grant_type", "client_credentials"),
            ("scope", USERS),
            (
                "client_assertion_type",
                "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            ),
            ("client_assertion", &token),
        ],
    )
}

#[test]
fn a_secret_gets_a_token_and_a_wrong_one_does_not() {
    let sim = OktaSim::with_users(20);
    let good = ask_token(&sim, sim.client_secret(), USERS);
    assert_eq!(
        (good.status, good.body["token_type"].as_str()),
        (200, Some("Bearer"))
    );
    let bad = ask_token(&sim, "wrong", USERS);
    assert_eq!(
        (bad.status, bad.body["error"].as_str()),
        (401, Some("invalid_client"))
    );
    let posted = ask_token_with(
        &sim,
        &[
            ("grant_type", "client_credentials"),
            ("scope", USERS),
            ("client_id", sim.client_id()),
            ("client_secret", sim.client_secret()),
        ],
    );
    assert_eq!(posted.status, 401);
}

#[test]
fn one_scope_that_is_not_granted_spoils_the_whole_request() {
    let sim = OktaSim::builder()
        .users(20)
        .granted_scopes([USERS])
        .start()
        .unwrap();
    let both = ask_token(
        &sim,
        sim.client_secret(),
        "okta.users.read okta.groups.read",
    );
    assert_eq!(
        (both.status, both.body["error"].as_str()),
        (400, Some("invalid_scope"))
    );
    let none = ask_token(&sim, sim.client_secret(), "okta.groups.read");
    assert_eq!(none.body["error"], "consent_required");
    assert_eq!(
        ask_token(&sim, sim.client_secret(), "").body["error"],
        "invalid_scope"
    );
}

#[test]
fn an_assertion_must_be_for_this_url_fresh_signed_and_new() {
    let sim = OktaSim::with_users(20);
    let url = format!("{}/oauth2/v1/token", sim.url());
    let kid = sim.service_key_id().to_owned();
    assert_eq!(assertion(&sim, &url, 300, &kid, "a").status, 200);
    assert_eq!(
        assertion(&sim, &url, 300, &kid, "a").status,
        401,
        "a replay"
    );
    assert_eq!(
        assertion(&sim, sim.url(), 300, &kid, "b").status,
        401,
        "another audience"
    );
    assert_eq!(assertion(&sim, &url, -1, &kid, "c").status, 401, "expired");
    assert_eq!(
        assertion(&sim, &url, 3700, &kid, "d").status,
        401,
        "too far ahead"
    );
    assert_eq!(
        assertion(&sim, &url, 300, "other", "e").status,
        401,
        "unknown key"
    );
    let secret = sim.service_client_id();
    let basic = ask_token(&sim, secret, USERS);
    assert_eq!(basic.status, 401);
}

#[test]
fn a_client_that_must_prove_possession_is_told_so() {
    let sim = OktaSim::builder()
        .users(20)
        .dpop_required(true)
        .start()
        .unwrap();
    let url = format!("{}/oauth2/v1/token", sim.url());
    let answer = assertion(&sim, &url, 300, sim.service_key_id(), "a");
    assert_eq!(
        (answer.status, answer.body["error"].as_str()),
        (400, Some("invalid_dpop_proof"))
    );
}

#[test]
fn every_call_needs_a_live_token_with_its_scope() {
    let sim = OktaSim::with_users(20);
    let token = ask_token(
        &sim,
        sim.client_secret(),
        "okta.users.read okta.groups.manage",
    );
    let bearer = format!("Bearer {}", token.body["access_token"].as_str().unwrap());
    let ask = |method: &str, path: &str, body: Option<&Value>| {
        send(&sim, &bearer, method, path, body).unwrap()
    };
    assert_eq!(ask("GET", "/api/v1/users?limit=1", None).status, 200);
    assert_eq!(
        ask("GET", "/api/v1/groups?limit=1", None).status,
        200,
        "manage includes read"
    );
    for path in [
        "/api/v1/apps",
        "/api/v1/zones",
        "/api/v1/logs",
        "/api/v1/org",
    ] {
        let refused = ask("GET", path, None);
        assert_eq!(
            (refused.status, refused.code()),
            (403, "E0000006"),
            "{path}"
        );
        assert!(
            refused.headers["www-authenticate"].contains("insufficient_scope"),
            "{path}"
        );
    }
    let write = ask("POST", "/api/v1/users", Some(&json!({})));
    assert_eq!(write.status, 403);
    let forged = send(&sim, "Bearer nonsense", "GET", "/api/v1/users", None).unwrap();
    assert_eq!((forged.status, forged.code()), (401, "E0000011"));
    let none = send(&sim, "", "GET", "/api/v1/users", None).unwrap();
    assert_eq!((none.status, none.code()), (403, "E0000005"));
    sim.revoke_scope(USERS);
    assert_eq!(ask("GET", "/api/v1/users", None).status, 403);
    sim.advance(std::time::Duration::from_secs(3601));
    let expired = ask("GET", "/api/v1/groups", None);
    assert_eq!((expired.status, expired.code()), (401, "E0000011"));
}

#[test]
fn a_write_without_a_length_is_refused() {
    let sim = OktaSim::with_users(20);
    let id = sim.ids("group_rule").remove(0);
    let client = reqwest::blocking::Client::new();
    let answer = client
        .post(format!(
            "{}/api/v1/groups/rules/{id}/lifecycle/deactivate",
            sim.url()
        ))
        .header("authorization", format!("SSWS {}", sim.api_token()))
        .send()
        .unwrap();
    assert_eq!(answer.status().as_u16(), 411);
}

#[test]
fn absent_features_paths_and_services_are_told_apart() {
    let sim = OktaSim::with_users(20);
    sim.disable_features(["/api/v1/authorizationServers"]);
    let feature = get(&sim, "/api/v1/authorizationServers");
    assert_eq!((feature.status, feature.code()), (401, "E0000015"));
    let path = get(&sim, "/api/v1/nothing");
    assert_eq!((path.status, path.code()), (404, "E0000008"));
    assert!(path.headers.contains_key("x-okta-request-id"));
    let edge = get(&sim, "/nothing");
    assert_eq!(
        (edge.status, edge.body),
        (404, json!({"status": 404, "message": "Resource not found"}))
    );
    assert!(!edge.headers.contains_key("x-okta-request-id"));
    let method = call(&sim, "DELETE", "/api/v1/users", None);
    assert_eq!((method.status, method.code()), (405, "E0000022"));
    let org = send(&sim, "", "GET", "/.well-known/okta-organization", None).unwrap();
    assert_eq!(org.body["id"], sim.org_id());
}

#[test]
fn a_service_app_without_a_role_gets_tokens_and_no_answers() {
    let sim = OktaSim::builder()
        .users(20)
        .service_role(false)
        .start()
        .unwrap();
    let url = format!("{}/oauth2/v1/token", sim.url());
    let token = assertion(&sim, &url, 300, sim.service_key_id(), "a");
    let bearer = format!("Bearer {}", token.body["access_token"].as_str().unwrap());
    let refused = send(&sim, &bearer, "GET", "/api/v1/users", None).unwrap();
    assert_eq!((refused.status, refused.code()), (403, "E0000006"));
}
