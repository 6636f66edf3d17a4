//! Identity providers.

use serde_json::{Map, Value, json};

use super::ConfigStore;
use super::json::{at, fill, object_at, text};
use super::shelf::Record;
use super::table::Kind;
use crate::wire::World;

impl ConfigStore {
    /// Reading a provider's client secret leaves an event in the log, as the documentation says.
    pub(crate) fn note_secret_read(&self, world: &mut dyn World, id: &str) {
        let kind = Kind::IdentityProvider;
        let secret = "protocol.credentials.client.client_secret";
        let record = self.shelf.get(kind, id);
        if record.is_some_and(|record| at(&record.body, secret).is_some()) {
            self.emit(world, kind, id, "system.idp.lifecycle.read_client_secret");
        }
    }
}

pub(crate) fn provider(draft: &mut Map<String, Value>, before: Option<&Record>) {
    // The client's secret is answered in clear, as recorded; a private key never is.
    if let Some(signing) = object_at(draft, "protocol.credentials.signing") {
        signing.remove("privateKey");
    }
    fill(
        draft,
        &json!({"policy": {
            "accountLink": {"action": "AUTO"},
            "subject": {"matchType": "USERNAME"},
            "maxClockSkew": 0,
            "trustClaims": false,
            "transformedUsernameMatchingEnabled": false,
        }}),
    );
    for (path, keys) in [
        ("policy.accountLink", ["filter"].as_slice()),
        ("policy.subject", ["filter", "matchAttribute"].as_slice()),
    ] {
        if let Some(part) = object_at(draft, path) {
            for key in keys {
                part.entry(*key).or_insert(Value::Null);
            }
        }
    }
    if text(draft, "type") == "SAML2" {
        let kept = |path: &str, made: String| {
            before
                .and_then(|before| at(&before.body, path).cloned())
                .unwrap_or(Value::String(made))
        };
        let name = text(draft, "name").to_owned();
        let audience = kept(
            "protocol.credentials.trust.audience",
            format!(
                "https://www.okta.com/saml2/service-provider/sp{}",
                digest("audience", &name, 18)
            ),
        );
        let kid = kept(
            "protocol.credentials.signing.kid",
            digest("signing", &name, 43),
        );
        fill(
            draft,
            &json!({"protocol": {"credentials": {
                "trust": {"audience": audience, "revocationCacheLifetime": 0},
                "signing": {"kid": kid},
            }}}),
        );
        if let Some(trust) = object_at(draft, "protocol.credentials.trust") {
            trust.entry("revocation").or_insert(Value::Null);
        }
    }
}

/// Letters that stand for a key or a name that the server makes.
pub(crate) fn digest(purpose: &str, of: &str, letters: usize) -> String {
    blake3::hash(format!("{purpose}\n{of}").as_bytes())
        .to_hex()
        .chars()
        .take(letters)
        .collect()
}
