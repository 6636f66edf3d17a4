//! What is sent to make an object, and what of it cannot be put back.

use std::collections::BTreeMap;

use crate::canonical::Json;
use crate::catalogue::{Entry, NaturalKey, ObjectType};

use super::path::{at, is_nothing, remove, set, steps, text_at, without_nulls};
use super::values;

/// Stands in for a secret that creation asks for and the backup does not have.
pub(crate) const SECRET_TO_BE_SET: &str = "to-be-set-after-restore";

/// A user comes back without a password, so activating it does not make it ACTIVE, and Okta suspends no other. Left
/// STAGED it cannot sign in either, and nothing is sent to it.
pub(crate) const SUSPENSION_OF_A_NEW_USER: Loss = Loss {
    what: "status",
    instead: "It was SUSPENDED and comes back STAGED, so that it cannot sign in: activate it, then suspend it.",
};

/// The same for a user that is there in a state from which Okta does not suspend.
pub(crate) const SUSPENSION: Loss = Loss {
    what: "status",
    instead: "It was SUSPENDED, and Okta suspends ACTIVE users only: suspend it by hand once it is active.",
};

/// Something that cannot be put back, and what the admin does instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Loss {
    pub(crate) what: &'static str,
    pub(crate) instead: &'static str,
}

/// Why an absent object cannot be created again at all.
pub(crate) fn cannot_create(object_type: ObjectType, json: &Json) -> Option<Loss> {
    let entry = object_type.entry();
    match entry.name {
        "user" => cannot_create_user(json),
        "group" if text_at(json, "type") == Some("APP_GROUP") => Some(Loss {
            what: "object",
            instead: "Import it again from the app or directory it comes from.",
        }),
        _ if values::system_mark(entry, json).is_some() || is_default_server(entry, json) => {
            Some(Loss {
                what: "object",
                instead: "Okta makes it itself; ask Okta's support why the org no longer has it.",
            })
        }
        _ if entry.create.is_none() => Some(Loss {
            what: "object",
            instead: "Okta makes it itself; its values are written once it is there again.",
        }),
        _ => None,
    }
}

fn cannot_create_user(json: &Json) -> Option<Loss> {
    if text_at(json, "status") == Some("DEPROVISIONED") {
        return Some(Loss {
            what: "object",
            instead: "It was deactivated when it was backed up; create it by hand if it is needed.",
        });
    }
    match text_at(json, "credentials.provider.type") {
        Some("ACTIVE_DIRECTORY" | "LDAP" | "IMPORT") => Some(Loss {
            what: "object",
            instead: "Import it again from the directory or app that masters it.",
        }),
        _ => None,
    }
}

fn is_default_server(entry: &Entry, json: &Json) -> bool {
    entry.name == "authorization_server" && text_at(json, "id") == Some("default")
}

/// What a created object comes back without.
pub(crate) fn losses(object_type: ObjectType, json: &Json) -> Vec<Loss> {
    let entry = object_type.entry();
    let mut losses = Vec::new();
    let mut lose = |what, instead| losses.push(Loss { what, instead });
    match entry.name {
        "user" => {
            let federated = matches!(
                text_at(json, "credentials.provider.type"),
                Some("FEDERATION" | "SOCIAL")
            );
            if !federated {
                lose(
                    "password",
                    "Set a password or send a reset when the user should sign in; no e-mail was sent.",
                );
            }
            lose("factors", "The user enrols authenticators again.");
        }
        "app" => match text_at(json, "signOnMode") {
            Some("OPENID_CONNECT")
                if !matches!(
                    text_at(json, "credentials.oauthClient.token_endpoint_auth_method"),
                    Some("none" | "private_key_jwt")
                ) =>
            {
                lose(
                    "credentials.oauthClient.client_secret",
                    "The client id is kept, the client secret is new: give it to the application.",
                );
            }
            Some("SAML_2_0" | "SAML_1_1" | "WS_FEDERATION") => lose(
                "credentials.signing",
                "The signing certificate and the sign-on URLs are new: give the new metadata to the service provider.",
            ),
            Some("SECURE_PASSWORD_STORE" | "BROWSER_PLUGIN" | "AUTO_LOGIN" | "BASIC_AUTH") => {
                lose(
                    "credentials.password",
                    "Stored passwords are entered again.",
                );
            }
            _ => {}
        },
        "idp" => {
            lose(
                "url",
                "The sign-on URLs contain the new id: register them with the provider again.",
            );
            if text_at(json, "protocol.credentials.client.client_id").is_some()
                && text_at(json, "protocol.credentials.client.client_secret").is_none()
            {
                lose(
                    "protocol.credentials.client.client_secret",
                    "Enter the client secret again.",
                );
            }
        }
        "authorization_server" => {
            lose(
                "issuer",
                "The issuer URL contains the new id: configure it anew at clients and resource servers.",
            );
            lose(
                "keys",
                "The signing keys are new; tokens issued before are no longer accepted.",
            );
        }
        "event_hook" | "inline_hook" => {
            if has_auth_scheme(json) {
                lose(
                    "channel.config.authScheme.value",
                    "A stand-in was set: enter the secret that the receiver expects.",
                );
            }
            if text_at(json, "channel.type") == Some("OAUTH") {
                lose(
                    "channel.config.clientSecret",
                    "Enter the client secret again.",
                );
            }
            if entry.name == "event_hook" {
                lose("verificationStatus", "Verify the hook again.");
            }
        }
        "authenticator"
            if at(json, "provider.configuration").is_some_and(|value| !is_nothing(value)) =>
        {
            lose(
                "provider.configuration",
                "Enter the provider's secret keys again.",
            );
        }
        "linked_object_definition" => {
            lose(
                "values",
                "The links between users were deleted with the definition: set them again.",
            );
        }
        _ => {}
    }
    losses
}

fn has_auth_scheme(json: &Json) -> bool {
    at(json, "channel.config.authScheme").is_some_and(|value| !is_nothing(value))
}

/// The body that creates the object, with the snapshot's ids in it.
pub(crate) fn for_creation(object_type: ObjectType, json: &Json) -> Json {
    let entry = object_type.entry();
    let mut body = match entry.name {
        "user" => new_user(json),
        _ => {
            let mut body = json.clone();
            for path in entry
                .read_only
                .iter()
                .chain(&["_links", "_embedded", "_link"])
            {
                remove(&mut body, &steps(path));
            }
            body
        }
    };
    match entry.name {
        "app" => {
            let custom = matches!(text_at(json, "signOnMode"), Some("SAML_2_0" | "AUTO_LOGIN"))
                && text_at(json, "name").is_none_or(is_generated_name);
            if custom {
                remove(&mut body, &steps("name"));
            }
        }
        "event_hook" | "inline_hook"
            if has_auth_scheme(json)
                && text_at(json, "channel.config.authScheme.value").is_none() =>
        {
            let keys = ["channel", "config", "authScheme", "value"];
            set(
                &mut body,
                &keys,
                Some(Json::String(SECRET_TO_BE_SET.to_owned())),
            );
        }
        name if name.starts_with("policy_") || name.starts_with("as_") => {
            remove(&mut body, &steps("system"));
        }
        _ => {}
    }
    without_nulls(&mut body);
    body
}

fn new_user(json: &Json) -> Json {
    let mut body = Json::Object(BTreeMap::new());
    set(&mut body, &["profile"], at(json, "profile").cloned());
    if let Some(id) = at(json, "type.id") {
        set(&mut body, &["type", "id"], Some(id.clone()));
    }
    if let Some(provider @ ("FEDERATION" | "SOCIAL")) = text_at(json, "credentials.provider.type") {
        let keys = ["credentials", "provider", "type"];
        set(&mut body, &keys, Some(Json::String(provider.to_owned())));
        if let Some(name) = at(json, "credentials.provider.name") {
            set(
                &mut body,
                &["credentials", "provider", "name"],
                Some(name.clone()),
            );
        }
    }
    body
}

/// Whether Okta made up the name of an app: `ORG_LABEL_NUMBER`, while names of templates and of
/// catalogue apps carry no such number.
///
/// Assumed from recorded answers (`dev123_myapp_1`); the documents only say that the server generates one.
fn is_generated_name(name: &str) -> bool {
    if name.starts_with("template_") || matches!(name, "bookmark" | "oidc_client") {
        return false;
    }
    name.rsplit_once('_').is_some_and(|(head, number)| {
        !head.is_empty() && !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
    })
}

/// The body that makes a relation; `None` where the pair alone says everything.
pub(crate) fn for_relation(relation: ObjectType, json: &Json) -> Option<Json> {
    let mut body = Json::Object(BTreeMap::new());
    match relation.name() {
        "app_group_assignment" => {
            for key in ["priority", "profile"] {
                if let Some(value) = at(json, key) {
                    set(&mut body, &[key], Some(value.clone()));
                }
            }
        }
        "app_user" => {
            set(&mut body, &["id"], at(json, "id").cloned());
            set(&mut body, &["scope"], Some(Json::String("USER".to_owned())));
            if let Some(profile) = at(json, "profile") {
                set(&mut body, &["profile"], Some(profile.clone()));
            }
            if let Some(name) = at(json, "credentials.userName") {
                set(&mut body, &["credentials", "userName"], Some(name.clone()));
            }
        }
        _ => return None,
    }
    without_nulls(&mut body);
    Some(body)
}

/// The values written into what Okta made together with a parent; `None` where none are anyone's own.
pub(crate) fn for_adoption(object_type: ObjectType, json: &Json) -> Option<Json> {
    let entry = object_type.entry();
    match entry.name {
        "user_schema" | "app_user_schema" | "group_schema" => {
            let custom =
                at(json, "definitions.custom.properties").filter(|value| !is_nothing(value))?;
            let mut body = Json::Object(BTreeMap::new());
            set(
                &mut body,
                &["definitions", "custom", "properties"],
                Some(custom.clone()),
            );
            if let Some(id) = at(json, "definitions.custom.id") {
                set(
                    &mut body,
                    &["definitions", "custom", "id"],
                    Some(id.clone()),
                );
                set(
                    &mut body,
                    &["definitions", "custom", "type"],
                    Some(Json::String("object".to_owned())),
                );
            }
            without_nulls(&mut body);
            Some(body)
        }
        "profile_mapping" => {
            let properties = at(json, "properties").filter(|value| !is_nothing(value))?;
            let mut body = Json::Object(BTreeMap::new());
            set(&mut body, &["properties"], Some(properties.clone()));
            Some(body)
        }
        _ => {
            let mut body = values::writable(entry, json);
            without_nulls(&mut body);
            Some(body)
        }
    }
}

/// Whether two objects have the same natural key, parents apart.
pub(crate) fn same_key(entry: &Entry, one: &Json, other: &Json) -> bool {
    match (key_of(entry, one), key_of(entry, other)) {
        (Some(one), Some(other)) => one == other,
        _ => false,
    }
}

/// The natural key's values; `None` where the object has none.
pub(crate) fn key_of(entry: &Entry, json: &Json) -> Option<Vec<String>> {
    match entry.natural_key {
        NaturalKey::Only => Some(Vec::new()),
        NaturalKey::Fields(paths) => paths
            .iter()
            .map(|path| {
                let value = text_at(json, path)?;
                Some(if entry.name == "user" {
                    value.to_lowercase()
                } else {
                    value.to_owned()
                })
            })
            .collect(),
        NaturalKey::Ends | NaturalKey::None => None,
    }
}

/// Whether two objects that the org makes itself are the same one: of a policy or rule there is one
/// (of its type, under its parent), others go by natural key.
pub(crate) fn same_system_object(entry: &Entry, one: &Json, other: &Json) -> bool {
    entry.name.starts_with("policy_") || same_key(entry, one, other)
}
