use okta_sim::OktaSim;
use serde_json::{Value, json};

use crate::common::{call, get};

fn person(login: &str) -> Value {
    json!({"profile": {"login": login, "email": login, "firstName": "Ada", "lastName": "Test"}})
}

fn create(sim: &OktaSim, query: &str, body: &Value) -> Value {
    let answer = call(sim, "POST", &format!("/api/v1/users{query}"), Some(body));
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.body
}

#[test]
fn how_a_user_is_created_decides_its_status_and_whether_a_mail_goes_out() {
    let sim = OktaSim::with_users(20);
    let mut secret = person("b@x.example");
    secret["credentials"] = json!({"password": {"value": "correct horse"}});
    assert_eq!(
        create(&sim, "?activate=false", &person("a@x.example"))["status"],
        "STAGED"
    );
    assert_eq!(create(&sim, "", &secret)["status"], "ACTIVE");
    secret["profile"]["login"] = json!("c@x.example");
    assert_eq!(
        create(&sim, "?activate=true&nextLogin=changePassword", &secret)["status"],
        "PASSWORD_EXPIRED"
    );
    assert!(sim.mails().is_empty());
    let mailed = create(&sim, "", &person("d@x.example"));
    assert_eq!(mailed["status"], "PROVISIONED");
    assert_eq!(sim.mails().len(), 1);
}

#[test]
fn a_user_moves_between_statuses_only_as_allowed_and_is_deleted_in_two_steps() {
    let sim = OktaSim::with_users(20);
    let id = create(&sim, "?activate=false", &person("a@x.example"))["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let path = format!("/api/v1/users/{id}");
    let act = |verb: &str| call(&sim, "POST", &format!("{path}/lifecycle/{verb}"), None);
    assert_eq!(act("suspend").code(), "E0000038");
    let activated = act("activate?sendEmail=false");
    assert!(activated.body["activationToken"].is_string());
    assert!(sim.mails().is_empty());
    assert_eq!(act("activate?sendEmail=false").code(), "E0000016");
    assert_eq!(act("deactivate").status, 200);
    assert_eq!(get(&sim, &path).body["status"], "DEPROVISIONED");
    let write = call(
        &sim,
        "POST",
        &path,
        Some(&json!({"profile": {"title": "x"}})),
    );
    assert_eq!(write.status, 403);
    assert_eq!(act("activate?sendEmail=false").status, 200);
    assert_eq!(get(&sim, &path).body["status"], "PROVISIONED");
    assert_eq!(call(&sim, "DELETE", &path, None).status, 204);
    assert_eq!(get(&sim, &path).body["status"], "DEPROVISIONED");
    assert_eq!(call(&sim, "DELETE", &path, None).status, 204);
    assert_eq!(
        (get(&sim, &path).status, get(&sim, &path).code().to_owned()),
        (404, "E0000007".to_owned())
    );
    let again = create(&sim, "?activate=false", &person("a@x.example"));
    assert_ne!(again["id"], json!(id));
}

#[test]
fn logins_are_unique_profiles_fit_their_schema_and_put_replaces() {
    let sim = OktaSim::with_users(20);
    let users = sim.dump("user");
    let taken = users.values().next().unwrap()["profile"]["login"]
        .as_str()
        .unwrap()
        .to_uppercase();
    let twice = call(
        &sim,
        "POST",
        "/api/v1/users?activate=false",
        Some(&person(&taken)),
    );
    assert_eq!((twice.status, twice.code()), (400, "E0000001"));
    for (key, value) in [
        ("shoeSize", json!(1)),
        ("jobLevel", json!("high")),
        ("shirtSize", json!("XXL")),
        ("firstName", Value::Null),
        ("title", json!("\u{1f600}")),
    ] {
        let mut body = person("a@x.example");
        body["profile"][key] = value;
        let answer = call(&sim, "POST", "/api/v1/users?activate=false", Some(&body));
        assert_eq!((answer.status, answer.code()), (400, "E0000001"), "{key}");
    }
    let id = users
        .iter()
        .find(|(_, user)| user["status"] == "ACTIVE")
        .unwrap()
        .0
        .clone();
    let path = format!("/api/v1/users/{id}");
    let merged = call(
        &sim,
        "POST",
        &path,
        Some(&json!({"profile": {"title": "Gardener"}})),
    )
    .body;
    assert_eq!(
        (
            merged["profile"]["title"].as_str(),
            merged["profile"]["city"].is_string()
        ),
        (Some("Gardener"), true)
    );
    let replaced = call(&sim, "PUT", &path, Some(&person("new@x.example"))).body;
    assert!(replaced["profile"].get("city").is_none());
    assert!(replaced["profile"]["mobilePhone"].is_null());
    assert_eq!(
        get(&sim, "/api/v1/users/new@x.example").body["id"],
        json!(id)
    );
}

#[test]
fn a_stale_etag_is_refused() {
    let sim = OktaSim::with_users(20);
    let id = sim.ids("user").remove(0);
    let path = format!("/api/v1/users/{id}");
    let tag = get(&sim, &path).headers["etag"].clone();
    assert!(tag.starts_with("W/\""));
    let client = reqwest::blocking::Client::new();
    let write = |tag: &str| {
        client
            .post(format!("{}{path}", sim.url()))
            .header("authorization", format!("SSWS {}", sim.api_token()))
            .header("if-match", tag)
            .json(&json!({"profile": {"title": "Gardener"}}))
            .send()
            .unwrap()
            .status()
            .as_u16()
    };
    assert_eq!(write("nonsense"), 400);
    let before = sim.dump("user")[&id]["status"].clone();
    if before != "DEPROVISIONED" {
        assert_eq!(write(&tag), 200);
        assert_eq!(write(&tag), 412);
    }
}

#[test]
fn apps_are_deactivated_before_they_are_deleted_and_keep_their_client_id() {
    let sim = OktaSim::with_users(20);
    let body = json!({
        "label": "Portal", "signOnMode": "OPENID_CONNECT",
        "credentials": {"oauthClient": {"client_id": "portal-client", "token_endpoint_auth_method": "client_secret_basic"}},
        "settings": {"oauthClient": {"redirect_uris": ["https://p.example/"], "response_types": ["code"], "grant_types": ["authorization_code"], "application_type": "web"}},
    });
    let made = call(&sim, "POST", "/api/v1/apps", Some(&body));
    assert_eq!(made.status, 200, "{}", made.body);
    assert_eq!(
        made.body["credentials"]["oauthClient"]["client_id"],
        "portal-client"
    );
    assert!(made.body["credentials"]["oauthClient"]["client_secret"].is_string());
    let path = format!("/api/v1/apps/{}", made.body["id"].as_str().unwrap());
    let read = get(&sim, &path).body;
    assert!(
        read["credentials"]["oauthClient"]
            .get("client_secret")
            .is_none()
    );
    assert!(read["_links"]["accessPolicy"]["href"].is_string());
    assert_eq!(
        call(&sim, "POST", "/api/v1/apps", Some(&body)).status,
        400,
        "the client id is taken"
    );
    assert_eq!(call(&sim, "DELETE", &path, None).code(), "E0000056");
    assert_eq!(
        call(&sim, "POST", &format!("{path}/lifecycle/deactivate"), None).status,
        200
    );
    assert_eq!(call(&sim, "PUT", &path, Some(&read)).code(), "E0000024");
    assert_eq!(call(&sim, "DELETE", &path, None).status, 204);
    assert_eq!(get(&sim, &path).status, 404);
    let named = json!({"name": "made_up", "label": "X", "signOnMode": "SAML_2_0"});
    assert_eq!(
        call(&sim, "POST", "/api/v1/apps", Some(&named)).code(),
        "E0000001"
    );
    let system = sim
        .dump("app")
        .into_iter()
        .find(|(_, app)| app["name"] == "saasure")
        .unwrap()
        .0;
    assert_eq!(
        call(&sim, "DELETE", &format!("/api/v1/apps/{system}"), None).code(),
        "E0000006"
    );
}

#[test]
fn what_a_get_shows_of_an_app_can_be_put_back() {
    let sim = OktaSim::with_users(60);
    for (id, app) in sim.dump("app") {
        if app["status"] == "ACTIVE" {
            let answer = call(&sim, "PUT", &format!("/api/v1/apps/{id}"), Some(&app));
            assert_eq!(answer.status, 200, "{}: {}", app["label"], answer.body);
            let mut expected = app.clone();
            expected["lastUpdated"] = answer.body["lastUpdated"].clone();
            assert_eq!(answer.body, expected);
        }
    }
}
