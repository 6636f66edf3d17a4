//! The policies and rules that an administrator made.

use serde_json::{Value, json};

use super::Seeder;
use super::made::{Made, TEAMS, nth};
use crate::config::table::Kind;

/// Makes them.
pub(super) fn fill(seeder: &mut Seeder, made: &Made) {
    sign_on_policies(seeder, made);
    password_policies(seeder, made);
    enrollment_policies(seeder);
    access_policies(seeder, made);
    profile_policies(seeder);
    discovery_rules(seeder, made);
}

/// The condition that a rule's network be one of the org's zones, or any.
fn network(seeder: &mut Seeder, made: &Made) -> Value {
    match seeder.random.pick(&made.zones) {
        Some(zone) if seeder.random.below(3) > 0 => {
            json!({"connection": "ZONE", "include": [zone]})
        }
        _ => json!({"connection": "ANYWHERE"}),
    }
}

fn sign_on_policies(seeder: &mut Seeder, made: &Made) {
    for n in 0..seeder.count(2, 4_000, 30) {
        let group = seeder.group();
        let policy = seeder.make(
            Kind::Policy,
            &[],
            json!({
                "type": "OKTA_SIGN_ON",
                "name": format!("{} sessions", nth(TEAMS, n)),
                "description": format!("Global sessions of {}", nth(TEAMS, n)),
                "conditions": {"people": {"groups": {"include": [group]}}},
            }),
        );
        for r in 0..2 {
            let excluded: Vec<String> = seeder.user().into_iter().collect();
            let mut conditions = json!({
                "people": {"users": {"exclude": excluded}},
                "network": network(seeder, made),
                "authContext": {"authType": "ANY"},
            });
            if let (Some(conditions), Some(behavior), 1) = (
                conditions.as_object_mut(),
                seeder.random.pick(&made.behaviors),
                r,
            ) {
                conditions.insert("risk".to_owned(), json!({"behaviors": [behavior]}));
            }
            let idle = 60 + seeder.random.below(8) * 30;
            seeder.make(
                Kind::Rule,
                &[&policy],
                json!({
                    "type": "SIGN_ON",
                    "name": if r == 0 { "From the office" } else { "From elsewhere" },
                    "conditions": conditions,
                    "actions": {"signon": {
                        "access": "ALLOW",
                        "requireFactor": r == 1,
                        "primaryFactor": "PASSWORD_IDP_ANY_FACTOR",
                        "rememberDeviceByDefault": false,
                        "session": {
                            "usePersistentCookie": false,
                            "maxSessionIdleMinutes": idle,
                            "maxSessionLifetimeMinutes": 720,
                        },
                    }},
                }),
            );
        }
    }
}

fn password_policies(seeder: &mut Seeder, made: &Made) {
    for n in 0..seeder.count(2, 8_000, 16) {
        let group = seeder.group();
        let length = 10 + seeder.random.below(8);
        let network = network(seeder, made);
        let policy = seeder.make(
            Kind::Policy,
            &[],
            json!({
                "type": "PASSWORD",
                "name": format!("{} passwords", nth(TEAMS, n)),
                "description": "Longer passwords",
                "conditions": {"people": {"groups": {"include": [group]}}},
                "settings": {"password": {"complexity": {"minLength": length}}},
            }),
        );
        seeder.make(
            Kind::Rule,
            &[&policy],
            json!({
                "type": "PASSWORD",
                "name": "Self-service",
                "conditions": {"people": {"users": {"exclude": []}}, "network": network},
                "actions": {
                    "passwordChange": {"access": "ALLOW"},
                    "selfServicePasswordReset": {
                        "access": "ALLOW",
                        "requirement": {
                            "primary": {"methods": ["email"]},
                            "stepUp": {"required": false},
                            "accessControl": "LEGACY",
                        },
                    },
                    "selfServiceUnlock": {"access": "DENY"},
                },
            }),
        );
    }
}

fn enrollment_policies(seeder: &mut Seeder) {
    for n in 0..seeder.count(1, 10_000, 10) {
        let group = seeder.group();
        let policy = seeder.make(
            Kind::Policy,
            &[],
            json!({
                "type": "MFA_ENROLL",
                "name": format!("{} authenticators", nth(TEAMS, n)),
                "conditions": {"people": {"groups": {"include": [group]}}},
                "settings": {"type": "AUTHENTICATORS", "authenticators": [
                    {"key": "okta_password", "enroll": {"self": "REQUIRED"}},
                    {"key": "okta_verify", "enroll": {"self": "REQUIRED"}},
                    {"key": "webauthn", "enroll": {"self": "OPTIONAL"}},
                ]},
            }),
        );
        let mut conditions =
            json!({"people": {"users": {"exclude": []}}, "network": {"connection": "ANYWHERE"}});
        if let (Some(conditions), Some(app)) = (
            conditions.as_object_mut(),
            seeder.random.pick(&seeder.seeds.apps),
        ) {
            conditions.insert(
                "app".to_owned(),
                json!({"include": [{"type": "APP", "id": app}], "exclude": []}),
            );
        }
        seeder.make(
            Kind::Rule,
            &[&policy],
            json!({
                "type": "MFA_ENROLL",
                "name": "At first use",
                "conditions": conditions,
                "actions": {"enroll": {"self": "CHALLENGE"}},
            }),
        );
    }
}

fn access_policies(seeder: &mut Seeder, made: &Made) {
    for n in 0..seeder.count(3, 2_500, 40) {
        let policy = seeder.make(
            Kind::Policy,
            &[],
            json!({
                "type": "ACCESS_POLICY",
                "name": format!("{} apps", nth(TEAMS, n)),
                "description": format!("Who may use the apps of {}", nth(TEAMS, n)),
            }),
        );
        for r in 0..1 + n % 3 {
            let mut people =
                json!({"users": {"exclude": []}, "groups": {"include": [seeder.group()]}});
            if let (Some(user), Some(users), 2) =
                (seeder.user(), people.pointer_mut("/users/exclude"), r)
            {
                *users = json!([user]);
            }
            let mut conditions = json!({
                "people": people,
                "network": network(seeder, made),
                "riskScore": {"level": "ANY"},
            });
            if let (Some(conditions), Some(user_type), 1) = (
                conditions.as_object_mut(),
                seeder.random.pick(&seeder.seeds.user_types),
                r,
            ) {
                conditions.insert(
                    "userType".to_owned(),
                    json!({"include": [user_type], "exclude": []}),
                );
            }
            seeder.make(
                Kind::Rule,
                &[&policy],
                json!({
                    "type": "ACCESS_POLICY",
                    "name": format!("{} {}", nth(TEAMS, n), r + 1),
                    // The last one leaves a gap.
                    "priority": if r == 2 { 5 } else { r },
                    "conditions": conditions,
                    "actions": {"appSignOn": {
                        "access": "ALLOW",
                        "verificationMethod": {
                            "factorMode": if r == 0 { "1FA" } else { "2FA" },
                            "type": "ASSURANCE",
                            "reauthenticateIn": "PT12H",
                            "constraints": [{"knowledge": {"types": ["password"], "reauthenticateIn": "PT12H"}}],
                        },
                    }},
                }),
            );
        }
    }
}

fn profile_policies(seeder: &mut Seeder) {
    for n in 0..seeder.count(1, 50_000, 3) {
        let name = format!(
            "{} registration",
            nth(&["Partner", "Supplier", "Alumni"], n)
        );
        seeder.make(
            Kind::Policy,
            &[],
            json!({"type": "PROFILE_ENROLLMENT", "name": name}),
        );
    }
}

fn discovery_rules(seeder: &mut Seeder, made: &Made) {
    let Some(policy) = seeder
        .store
        .default_policy("IDP_DISCOVERY")
        .map(str::to_owned)
    else {
        return;
    };
    for (n, provider) in made.providers.iter().enumerate() {
        let kind = if n % 3 == 0 { "SAML2" } else { "OIDC" };
        let network = network(seeder, made);
        seeder.make(
            Kind::Rule,
            &[&policy],
            json!({
                "type": "IDP_DISCOVERY",
                "name": format!("Domain {n}"),
                "conditions": {
                    "network": network,
                    "userIdentifier": {
                        "type": "IDENTIFIER",
                        "patterns": [{"matchType": "SUFFIX", "value": format!("partner{n}.example.org")}],
                    },
                    "app": {"include": [], "exclude": []},
                    "platform": {"include": [{"type": "ANY", "os": {"type": "ANY"}}], "exclude": []},
                },
                "actions": {"idp": {
                    "providers": [{"type": kind, "id": provider}],
                    "idpSelectionType": "SPECIFIC",
                }},
            }),
        );
    }
}
