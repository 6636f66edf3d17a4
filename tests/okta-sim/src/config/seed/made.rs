//! What an administrator made.

use serde_json::{Value, json};

use super::{Seeder, policies};
use crate::config::providers::digest;
use crate::config::table::Kind;

const CITIES: &[(&str, &str, &str)] = &[
    ("Amsterdam", "NL", "NL-NH"),
    ("Berlin", "DE", "DE-BE"),
    ("Boston", "US", "US-MA"),
    ("Dublin", "IE", "IE-L"),
    ("London", "GB", "GB-ENG"),
    ("Madrid", "ES", "ES-MD"),
    ("Milan", "IT", "IT-25"),
    ("Osaka", "JP", "JP-27"),
    ("Paris", "FR", "FR-75"),
    ("Seattle", "US", "US-WA"),
    ("Singapore", "SG", "SG-01"),
    ("Toronto", "CA", "CA-ON"),
];

pub(super) const TEAMS: &[&str] = &[
    "Contractors",
    "Customer Support",
    "Data Platform",
    "Design",
    "Engineering",
    "Executives",
    "Facilities",
    "Finance",
    "Human Resources",
    "Information Security",
    "Legal",
    "Marketing",
    "Operations",
    "Partners",
    "Payroll",
    "Procurement",
    "Research",
    "Sales",
];

const SERVICES: &[&str] = &[
    "Billing",
    "Catalog",
    "Documents",
    "Inventory",
    "Messaging",
    "Orders",
    "Payments",
    "Reports",
    "Search",
    "Shipping",
];

/// Ids of what later objects name.
#[derive(Debug, Default)]
pub(super) struct Made {
    pub(super) zones: Vec<String>,
    pub(super) behaviors: Vec<String>,
    pub(super) providers: Vec<String>,
    hooks: Vec<String>,
}

/// Makes it, what others name first.
pub(super) fn fill(seeder: &mut Seeder) {
    let mut made = Made::default();
    zones(seeder, &mut made);
    origins(seeder);
    behaviors(seeder, &mut made);
    hooks(seeder, &mut made);
    providers(seeder, &mut made);
    servers(seeder, &made);
    policies::fill(seeder, &made);
    roles(seeder);
}

/// The `n`th name from a list, with a number from the second round on.
pub(super) fn nth(names: &[&str], n: usize) -> String {
    let name = names
        .get(n % names.len().max(1))
        .copied()
        .unwrap_or("Other");
    match n / names.len().max(1) {
        0 => name.to_owned(),
        round => format!("{name} {}", round + 1),
    }
}

fn zones(seeder: &mut Seeder, made: &mut Made) {
    for n in 0..seeder.count(4, 2_000, 60) {
        let (city, country, region) = CITIES
            .get(n % CITIES.len())
            .copied()
            .unwrap_or(("Other", "US", "US-CA"));
        let round = n / CITIES.len() + 1;
        let net = n % 250 + 1;
        let body = if n % 4 == 3 {
            json!({
                "name": format!("{city} region {round}"),
                "type": "DYNAMIC",
                "usage": if n % 8 == 7 { "BLOCKLIST" } else { "POLICY" },
                "locations": [{"country": country, "region": region}],
                "asns": [format!("{}", 23_000 + seeder.random.below(900))],
                "proxyType": "Any",
            })
        } else {
            json!({
                "name": format!("{city} office {round}"),
                "type": "IP",
                "usage": "POLICY",
                "gateways": [
                    {"type": "CIDR", "value": format!("198.51.{net}.0/24")},
                    {"type": "RANGE", "value": format!("203.0.{net}.{}", 1 + seeder.random.below(250))},
                ],
                "proxies": [{"type": "CIDR", "value": format!("192.0.{net}.0/28")}],
            })
        };
        made.zones.push(seeder.make(Kind::Zone, &[], body));
    }
}

fn origins(seeder: &mut Seeder) {
    for n in 0..seeder.count(3, 2_500, 45) {
        let service = nth(SERVICES, n);
        let host = service.to_lowercase().replace(' ', "-");
        let scopes = if n % 3 == 0 {
            json!([{"type": "CORS"}])
        } else {
            json!([{"type": "CORS"}, {"type": "REDIRECT"}])
        };
        let body = json!({
            "name": format!("{service} front end"),
            "origin": format!("https://{host}.example.com"),
            "scopes": scopes,
            "status": if n % 10 == 9 { "INACTIVE" } else { "ACTIVE" },
        });
        seeder.make(Kind::Origin, &[], body);
    }
}

fn behaviors(seeder: &mut Seeder, made: &mut Made) {
    // With the five of every org always more than the ten of one page.
    for n in 0..seeder.count(7, 10_000, 20) {
        let (city, ..) = CITIES
            .get(n % CITIES.len())
            .copied()
            .unwrap_or(("Other", "", ""));
        let body = match n % 3 {
            0 => json!({
                "name": format!("Far from {city}{}", n / CITIES.len()),
                "type": "ANOMALOUS_LOCATION",
                "settings": {
                    "granularity": "LAT_LONG",
                    "radiusKilometers": 10 + seeder.random.below(90),
                    "maxEventsUsedForEvaluation": 50,
                    "minEventsNeededForEvaluation": 0,
                },
            }),
            1 => json!({
                "name": format!("Too fast to {city}{}", n / CITIES.len()),
                "type": "VELOCITY",
                "settings": {"velocityKph": 400 + seeder.random.below(500)},
            }),
            _ => json!({
                "name": format!("Unknown device in {city}{}", n / CITIES.len()),
                "type": "ANOMALOUS_DEVICE",
                "status": "INACTIVE",
            }),
        };
        made.behaviors.push(seeder.make(Kind::Behavior, &[], body));
    }
}

fn channel(host: &str, path: &str, secret: u64) -> Value {
    json!({
        "type": "HTTP",
        "version": "1.0.0",
        "config": {
            "uri": format!("https://{host}.example.com/{path}"),
            "method": "POST",
            "headers": [{"key": "X-Tenant", "value": format!("tenant-{secret:x}")}],
            "authScheme": {"type": "HEADER", "key": "Authorization", "value": format!("Bearer {secret:016x}")},
        },
    })
}

fn hooks(seeder: &mut Seeder, made: &mut Made) {
    let events = [
        "user.lifecycle.create",
        "user.lifecycle.deactivate",
        "group.user_membership.add",
        "application.lifecycle.update",
        "policy.lifecycle.update",
    ];
    for n in 0..seeder.count(2, 15_000, 8) {
        let secret = seeder.random.next();
        let mut channel = channel("events", &format!("okta/{n}"), secret);
        if let Some(config) = channel
            .pointer_mut("/config")
            .and_then(Value::as_object_mut)
        {
            config.remove("method");
        }
        let body = json!({
            "name": format!("{} audit", nth(TEAMS, n)),
            "events": {"type": "EVENT_TYPE", "items": events.iter().take(2 + n % 3).collect::<Vec<_>>()},
            "channel": channel,
        });
        seeder.make(Kind::EventHook, &[], body);
    }
    let types = [
        ("com.okta.oauth2.tokens.transform", "1.0.1", "Token claims"),
        (
            "com.okta.saml.tokens.transform",
            "1.0.2",
            "Assertion attributes",
        ),
        (
            "com.okta.user.pre-registration",
            "1.0.3",
            "Registration check",
        ),
        ("com.okta.import.transform", "1.0.0", "Import mapping"),
    ];
    for n in 0..seeder.count(2, 15_000, 8) {
        let (kind, version, name) = types.get(n % types.len()).copied().unwrap_or(("", "", ""));
        let secret = seeder.random.next();
        let body = json!({
            "name": format!("{name} {}", n / types.len() + 1),
            "type": kind,
            "version": version,
            "channel": channel("hooks", &format!("inline/{n}"), secret),
        });
        let id = seeder.make(Kind::InlineHook, &[], body);
        if kind == "com.okta.oauth2.tokens.transform" {
            made.hooks.push(id);
        }
    }
}

fn providers(seeder: &mut Seeder, made: &mut Made) {
    for n in 0..seeder.count(3, 8_000, 24) {
        let name = nth(
            &[
                "Partner portal",
                "Acquired company",
                "University",
                "Supplier network",
            ],
            n,
        );
        let host = format!("https://idp{n}.example.org");
        let groups = if n % 2 == 0 {
            json!({"action": "ASSIGN", "assignments": [seeder.group()]})
        } else {
            json!({"action": "NONE"})
        };
        let policy = json!({
            "provisioning": {
                "action": "AUTO",
                "profileMaster": false,
                "groups": groups,
                "conditions": {"deprovisioned": {"action": "NONE"}, "suspended": {"action": "NONE"}},
            },
            "accountLink": {"action": "AUTO"},
            "subject": {"matchType": "USERNAME", "userNameTemplate": {"template": "idpuser.email"}},
            "maxClockSkew": 0,
        });
        let body = if n % 3 == 0 {
            json!({
                "name": name,
                "type": "SAML2",
                "protocol": saml_protocol(&host, &digest("certificate", &name, 32)),
                "policy": policy,
            })
        } else {
            let secret = format!("{:016x}{:016x}", seeder.random.next(), seeder.random.next());
            json!({
                "name": name,
                "type": "OIDC",
                "issuerMode": "ORG_URL",
                "protocol": oidc_protocol(&host, &secret),
                "policy": policy,
            })
        };
        made.providers
            .push(seeder.make(Kind::IdentityProvider, &[], body));
    }
}

fn saml_protocol(host: &str, kid: &str) -> Value {
    let signature = |scope: &str| json!({"signature": {"algorithm": "SHA-256", "scope": scope}});
    json!({
        "type": "SAML2",
        "endpoints": {
            "sso": {"url": format!("{host}/sso"), "binding": "HTTP-POST", "destination": format!("{host}/sso")},
            "acs": {"binding": "HTTP-POST", "type": "INSTANCE"},
        },
        "algorithms": {"request": signature("REQUEST"), "response": signature("ANY")},
        "settings": {
            "nameFormat": "urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified",
            "honorPersistentNameId": false,
        },
        "credentials": {"trust": {"issuer": host, "kid": kid}},
    })
}

fn oidc_protocol(host: &str, secret: &str) -> Value {
    let endpoint =
        |path: &str, binding: &str| json!({"url": format!("{host}/{path}"), "binding": binding});
    json!({
        "type": "OIDC",
        "endpoints": {
            "authorization": endpoint("authorize", "HTTP-REDIRECT"),
            "token": endpoint("token", "HTTP-POST"),
            "userInfo": endpoint("userinfo", "HTTP-REDIRECT"),
            "jwks": endpoint("keys", "HTTP-REDIRECT"),
        },
        "algorithms": {"request": {"signature": {"algorithm": "HS256", "scope": "REQUEST"}}},
        "scopes": ["openid", "email", "profile"],
        "issuer": {"url": host},
        "credentials": {"client": {"client_id": format!("okta-{}", host.len()), "client_secret": secret}},
    })
}

fn servers(seeder: &mut Seeder, made: &Made) {
    for n in 0..seeder.count(2, 10_000, 12) {
        let service = nth(SERVICES, n);
        let lower = service.to_lowercase();
        let server = seeder.make(
            Kind::Server,
            &[],
            json!({
                "name": format!("{service} API"),
                "description": format!("Tokens for the {lower} services"),
                "audiences": [format!("api://{}", lower.replace(' ', "-"))],
                "issuerMode": if n % 2 == 0 { "ORG_URL" } else { "DYNAMIC" },
            }),
        );
        for verb in ["read", "write", "admin"].iter().take(2 + n % 2) {
            seeder.make(
                Kind::Scope,
                &[&server],
                json!({
                    "name": format!("{lower}:{verb}").replace(' ', "-"),
                    "displayName": format!("{verb} {lower}"),
                    "description": format!("Lets the app {verb} {lower}."),
                    "consent": if *verb == "admin" { "REQUIRED" } else { "IMPLICIT" },
                    "metadataPublish": "ALL_CLIENTS",
                }),
            );
        }
        for (name, claim_type, value) in [
            ("department", "RESOURCE", "user.department"),
            ("cost_center", "IDENTITY", "user.costCenter"),
        ] {
            seeder.make(
                Kind::Claim,
                &[&server],
                json!({
                    "name": name,
                    "claimType": claim_type,
                    "valueType": "EXPRESSION",
                    "value": value,
                    "conditions": {"scopes": ["profile"]},
                    "alwaysIncludeInToken": claim_type == "RESOURCE",
                }),
            );
        }
        server_policies(seeder, made, &server, n);
    }
}

fn server_policies(seeder: &mut Seeder, made: &Made, server: &str, n: usize) {
    for (p, name) in ["Web clients", "Service clients"]
        .iter()
        .take(1 + n % 2)
        .enumerate()
    {
        let policy = seeder.make(
            Kind::ServerPolicy,
            &[server],
            json!({
                "type": "OAUTH_AUTHORIZATION_POLICY",
                "name": name,
                "description": format!("{name} of this API"),
                "conditions": {"clients": {"include": ["ALL_CLIENTS"]}},
            }),
        );
        for (r, team) in TEAMS.iter().skip(n + p).take(2).enumerate() {
            let mut token = json!({
                "accessTokenLifetimeMinutes": 30 + 30 * r,
                "refreshTokenLifetimeMinutes": 0,
                "refreshTokenWindowMinutes": 10_080,
            });
            if let (Some(token), Some(hook), 0) = (token.as_object_mut(), made.hooks.first(), r) {
                token.insert("inlineHook".to_owned(), json!({"id": hook}));
            }
            let group = seeder.group();
            seeder.make(
                Kind::ServerRule,
                &[server, &policy],
                json!({
                    "type": "RESOURCE_ACCESS",
                    "name": team,
                    "conditions": {
                        "people": {"groups": {"include": [group]}},
                        "grantTypes": {"include": ["authorization_code"]},
                        "scopes": {"include": ["*"]},
                    },
                    "actions": {"token": token},
                }),
            );
        }
    }
}

fn roles(seeder: &mut Seeder) {
    let permissions = [
        "okta.users.read",
        "okta.users.credentials.resetPassword",
        "okta.groups.read",
        "okta.groups.members.manage",
        "okta.apps.read",
        "okta.apps.assignment.manage",
    ];
    for n in 0..seeder.count(2, 8_000, 15) {
        let from = seeder.random.below(permissions.len() - 1);
        let chosen: Vec<&&str> = permissions.iter().skip(from).take(2).collect();
        seeder.make(
            Kind::Role,
            &[],
            json!({
                "label": format!("{} helpers", nth(TEAMS, n)),
                "description": format!("Helps {} with accounts and apps", nth(TEAMS, n)),
                "permissions": chosen,
            }),
        );
    }
}
