//! An HTTP client that adds nothing of its own.

use std::collections::BTreeMap;

use okta_sim::OktaSim;
use serde_json::Value;

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) links: Vec<String>,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) fn code(&self) -> &str {
        self.body["errorCode"].as_str().unwrap_or_default()
    }

    /// Path and query of the next page.
    pub(crate) fn next(&self) -> Option<String> {
        let link = self
            .links
            .iter()
            .find(|link| link.contains("rel=\"next\""))?;
        let url = link.strip_prefix('<')?.split('>').next()?;
        let parsed = url::Url::parse(url).ok()?;
        Some(format!(
            "{}?{}",
            parsed.path(),
            parsed.query().unwrap_or_default()
        ))
    }

    pub(crate) fn ids(&self) -> Vec<String> {
        let items = self.body.as_array().unwrap();
        items
            .iter()
            .map(|item| item["id"].as_str().unwrap().to_owned())
            .collect()
    }
}

/// Sends a request with this `Authorization` header.
pub(crate) fn send(
    sim: &OktaSim,
    authorization: &str,
    method: &str,
    path: &str,
    body: Option<&Value>,
) -> Result<Answer, reqwest::Error> {
    let client = reqwest::blocking::Client::builder()
        .no_proxy()
        .pool_max_idle_per_host(0)
        .build()?;
    let needs_length = matches!(method, "POST" | "PUT");
    let method = method.parse().unwrap();
    let mut request = client.request(method, format!("{}{path}", sim.url()));
    if !authorization.is_empty() {
        request = request.header("authorization", authorization);
    }
    match body {
        Some(body) => request = request.json(body),
        None if needs_length => request = request.header("content-length", "0"),
        None => {}
    }
    read(request)
}

fn read(request: reqwest::blocking::RequestBuilder) -> Result<Answer, reqwest::Error> {
    let response = request.send()?;
    let status = response.status().as_u16();
    let links = response
        .headers()
        .get_all("link")
        .iter()
        .map(|value| value.to_str().unwrap().to_owned())
        .collect();
    let headers = response
        .headers()
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect();
    let text = response.text()?;
    Ok(Answer {
        status,
        headers,
        links,
        body: serde_json::from_str(&text).unwrap_or_default(),
    })
}

/// With the API token.
pub(crate) fn call(sim: &OktaSim, method: &str, path: &str, body: Option<&Value>) -> Answer {
    send(
        sim,
        &format!("SSWS {}", sim.api_token()),
        method,
        path,
        body,
    )
    .unwrap()
}

/// `GET` with the API token.
pub(crate) fn get(sim: &OktaSim, path: &str) -> Answer {
    call(sim, "GET", path, None)
}

/// Asks the token endpoint with the client secret.
pub(crate) fn ask_token(sim: &OktaSim, secret: &str, scope: &str) -> Answer {
    let client = reqwest::blocking::Client::builder()
        .no_proxy()
        .build()
        .unwrap();
    let form = [("grant_type", "client_credentials"), ("scope", scope)];
    let request = client
        .post(format!("{}/oauth2/v1/token", sim.url()))
        .basic_auth(sim.client_id(), Some(secret))
        .form(&form);
    read(request).unwrap()
}

/// Asks the token endpoint with a form and no header.
pub(crate) fn ask_token_with(sim: &OktaSim, form: &[(&str, &str)]) -> Answer {
    let client = reqwest::blocking::Client::builder()
        .no_proxy()
        .build()
        .unwrap();
    read(
        client
            .post(format!("{}/oauth2/v1/token", sim.url()))
            .form(form),
    )
    .unwrap()
}

/// All ids of a list, page by page.
pub(crate) fn list_all(sim: &OktaSim, path: &str) -> Vec<String> {
    let mut ids = Vec::new();
    let mut next = Some(path.to_owned());
    while let Some(path) = next {
        let page = get(sim, &path);
        assert_eq!(page.status, 200, "{path}: {}", page.body);
        ids.extend(page.ids());
        next = page.next();
    }
    ids
}
