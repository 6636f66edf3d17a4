//! The `_links` of bodies, as recorded.

use serde_json::{Map, Value, json};

use super::json::text;
use super::shelf::Record;
use super::table::{Kind, Lifecycle};

/// The `-admin` twin of the org's address, which some answers write in links.
///
/// An address that is a number has no twin and stays as it is.
#[must_use]
pub fn admin_url(base_url: &str) -> String {
    let (scheme, host) = base_url.split_once("://").unwrap_or(("https", base_url));
    let numeric = host
        .chars()
        .all(|c| c.is_ascii_digit() || matches!(c, '.' | ':'));
    if numeric || host.starts_with('[') {
        return base_url.to_owned();
    }
    let end = host.find(['.', ':']).unwrap_or(host.len());
    let (label, rest) = host.split_at(end);
    format!("{scheme}://{label}-admin{rest}")
}

/// A link with the methods it allows.
fn link(href: &str, allow: &[&str]) -> Value {
    json!({"href": href, "hints": {"allow": allow}})
}

/// The path of one object under the base address; `own` is its id as its links write it.
pub(crate) fn path_of(kind: Kind, parents: &[&str], own: &str) -> String {
    let mut parents = parents.iter();
    let mut path = String::new();
    for segment in kind.resource().path {
        path.push('/');
        path.push_str(match *segment {
            "*" => parents.next().copied().unwrap_or_default(),
            segment => segment,
        });
    }
    format!("{path}/{own}")
}

/// The links of an object that stands at `path` under `base_url`.
pub(crate) fn links(kind: Kind, record: &Record, base_url: &str, path: &str) -> Value {
    let href = format!("{base_url}{path}");
    let mut links = Map::new();
    match kind {
        Kind::Role => {
            let href = format!("{}{path}", admin_url(base_url));
            links.insert("self".to_owned(), json!({"href": href}));
            links.insert(
                "permissions".to_owned(),
                json!({"href": format!("{href}/permissions")}),
            );
            return Value::Object(links);
        }
        Kind::IdentityProvider => provider_links(record, base_url, &href, &mut links),
        Kind::Server => server_links(record, base_url, &href, &mut links),
        Kind::EventHook => {
            links.insert("self".to_owned(), json!({"href": href}));
            links.insert(
                "verify".to_owned(),
                link(&format!("{href}/lifecycle/verify"), &["POST"]),
            );
        }
        Kind::InlineHook => {
            links.insert("self".to_owned(), json!({"href": href}));
            if record.is_active() {
                links.insert(
                    "execute".to_owned(),
                    link(&format!("{href}/execute"), &["POST"]),
                );
            } else {
                links.insert("delete".to_owned(), link(&href, &["DELETE"]));
            }
        }
        Kind::Authenticator => {
            links.insert("self".to_owned(), link(&href, &["GET", "PUT"]));
            links.insert(
                "methods".to_owned(),
                link(&format!("{href}/methods"), &["GET"]),
            );
        }
        _ => {
            links.insert("self".to_owned(), link(&href, own_methods(kind, record)));
        }
    }
    match kind {
        Kind::Policy => {
            links.insert(
                "rules".to_owned(),
                link(&format!("{href}/rules"), &["GET", "POST"]),
            );
            if !record.is_system() {
                links.insert(
                    "mappings".to_owned(),
                    link(&format!("{href}/mappings"), &["GET", "POST"]),
                );
            }
        }
        Kind::ServerPolicy => {
            links.insert("rules".to_owned(), link(&format!("{href}/rules"), &["GET"]));
        }
        _ => {}
    }
    if kind.resource().lifecycle != Lifecycle::None && !has_fixed_status(kind, record) {
        let verb = if record.is_active() {
            "deactivate"
        } else {
            "activate"
        };
        links.insert(
            verb.to_owned(),
            link(&format!("{href}/lifecycle/{verb}"), &["POST"]),
        );
    }
    Value::Object(links)
}

/// System policies and rules are always on.
fn has_fixed_status(kind: Kind, record: &Record) -> bool {
    record.is_system() && matches!(kind, Kind::Policy | Kind::Rule)
}

fn own_methods(kind: Kind, record: &Record) -> &'static [&'static str] {
    if record.is_system() && matches!(kind, Kind::Policy | Kind::Rule | Kind::Zone) {
        &["GET", "PUT"]
    } else {
        &["GET", "PUT", "DELETE"]
    }
}

fn provider_links(record: &Record, base_url: &str, href: &str, links: &mut Map<String, Value>) {
    links.insert("users".to_owned(), link(&format!("{href}/users"), &["GET"]));
    if text(&record.body, "type") == "SAML2" {
        let acs = format!("{base_url}/sso/saml2/{}", record.id);
        links.insert(
            "metadata".to_owned(),
            json!({"href": format!("{href}/metadata.xml"), "type": "application/xml", "hints": {"allow": ["GET"]}}),
        );
        links.insert(
            "acs".to_owned(),
            json!({"href": acs, "type": "application/xml", "hints": {"allow": ["POST"]}}),
        );
    } else {
        let callback = format!("{base_url}/oauth2/v1/authorize/callback");
        links.insert("clientRedirectUri".to_owned(), link(&callback, &["POST"]));
        links.insert(
            "authorize".to_owned(),
            json!({
                "href": format!(
                    "{base_url}/oauth2/v1/authorize?idp={}&client_id={{clientId}}&response_type={{responseType}}",
                    record.id
                ),
                "templated": true,
                "hints": {"allow": ["GET"]},
            }),
        );
    }
}

fn server_links(record: &Record, base_url: &str, href: &str, links: &mut Map<String, Value>) {
    let own = href.rsplit('/').next().unwrap_or(&record.id);
    let well_known = |name: &str| {
        json!({
            "name": name,
            "href": format!("{base_url}/oauth2/{own}/.well-known/{name}"),
            "hints": {"allow": ["GET"]},
        })
    };
    links.insert("self".to_owned(), link(href, &["GET", "DELETE", "PUT"]));
    links.insert(
        "metadata".to_owned(),
        json!([
            well_known("oauth-authorization-server"),
            well_known("openid-configuration")
        ]),
    );
    links.insert(
        "keys".to_owned(),
        link(&format!("{href}/credentials/keys"), &["GET"]),
    );
    links.insert(
        "rotateKey".to_owned(),
        link(
            &format!("{href}/credentials/lifecycle/keyRotate"),
            &["POST"],
        ),
    );
    for part in ["claims", "policies", "scopes"] {
        links.insert(
            part.to_owned(),
            link(&format!("{href}/{part}"), &["GET", "POST"]),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::admin_url;

    #[test]
    fn only_names_have_an_admin_twin() {
        assert_eq!(
            admin_url("https://acme.okta.com"),
            "https://acme-admin.okta.com"
        );
        assert_eq!(
            admin_url("http://localhost:8080"),
            "http://localhost-admin:8080"
        );
        assert_eq!(admin_url("http://127.0.0.1:8080"), "http://127.0.0.1:8080");
        assert_eq!(admin_url("http://[::1]:8080"), "http://[::1]:8080");
    }
}
