//! `/_sim/…`: tests and demos steer the simulator from outside, without authentication.
//!
//! | request | what it does |
//! |---|---|
//! | `GET requests`, `DELETE requests` | the request log, as a list; forget it |
//! | `POST faults` (a [`Fault`]), `DELETE faults` | plan one; forget all |
//! | `POST admin` (a [`Change`]) | make a request with an admin's rights; `{status, body}` |
//! | `POST clock` `{"advance_ms": n}` | move the org's clock |
//! | `POST grant`, `POST revoke` `{"scope": s}` | give a scope to all clients; take it back |
//! | `POST features` `{"disable": [prefix…]}` | paths that answer 401 `E0000015` |
//! | `POST limits` `{"mode": "off"\|"published"\|"x10"\|"50/min"}` | change the rate limits |
//! | `GET limits` | the use of each bucket by each caller |
//! | `GET mails` | the mails that would have been sent |
//! | `GET dump/TYPE` | every object of a type, by id |
//! | `POST rotate`, `POST revoke-tokens` | new secrets; all access tokens dead |

use http::Method;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::{
    exchange::{Delivery, Departure, Exchange},
    faults::{Change, Fault},
    limits::RateLimits,
};

#[derive(Debug, Deserialize)]
struct Advance {
    advance_ms: i64,
}

#[derive(Debug, Deserialize)]
struct ScopeName {
    scope: String,
}

#[derive(Debug, Deserialize)]
struct Features {
    disable: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Mode {
    mode: String,
}

/// Answers a control request; `path` starts after `/_sim/`.
pub(crate) fn answer(
    exchange: &mut Exchange,
    method: &Method,
    path: &str,
    body: &[u8],
) -> Departure {
    let (status, body) = match steer(exchange, method, path, body) {
        Ok(body) => (200, body),
        Err(why) => (400, json!({ "error": why })),
    };
    Departure {
        status,
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        body: Some(body.to_string()),
        delivery: Delivery::Whole,
    }
}

fn steer(
    exchange: &mut Exchange,
    method: &Method,
    path: &str,
    body: &[u8],
) -> Result<Value, String> {
    match (method.as_str(), path) {
        ("GET", "requests") => serde_json::to_value(&exchange.requests).map_err(|e| e.to_string()),
        ("DELETE", "requests") => {
            exchange.requests.clear();
            Ok(json!({}))
        }
        ("POST", "faults") => {
            exchange.faults.add(read::<Fault>(body)?);
            Ok(json!({}))
        }
        ("DELETE", "faults") => {
            exchange.faults.clear();
            Ok(json!({}))
        }
        ("POST", "admin") => {
            let change: Change = read(body)?;
            let method = Method::from_bytes(change.method.as_bytes()).map_err(|e| e.to_string())?;
            let departure = exchange.administer(&method, &change.path, change.body);
            let body: Option<Value> = departure
                .body
                .as_deref()
                .and_then(|text| serde_json::from_str(text).ok());
            Ok(json!({"status": departure.status, "body": body}))
        }
        ("POST", "clock") => {
            exchange
                .core
                .clock
                .advance(read::<Advance>(body)?.advance_ms);
            Ok(json!({}))
        }
        ("POST", "grant") => {
            let scope = read::<ScopeName>(body)?.scope;
            for client in exchange.authority.clients.values_mut() {
                client.granted.insert(scope.clone());
            }
            Ok(json!({}))
        }
        ("POST", "revoke") => {
            exchange.revoke(&read::<ScopeName>(body)?.scope);
            Ok(json!({}))
        }
        ("POST", "features") => {
            exchange.disabled = read::<Features>(body)?.disable;
            Ok(json!({}))
        }
        ("POST", "limits") => {
            exchange.limits.mode = read::<Mode>(body)?.mode.parse::<RateLimits>()?;
            Ok(json!({}))
        }
        ("GET", "limits") => Ok(exchange
            .limits
            .usage()
            .into_iter()
            .map(|(caller, bucket, used)| json!({"caller": caller, "bucket": bucket, "used": used}))
            .collect()),
        ("GET", "mails") => serde_json::to_value(&exchange.core.mails).map_err(|e| e.to_string()),
        ("POST", "rotate") => {
            exchange.rotate_secrets();
            Ok(json!({}))
        }
        ("POST", "revoke-tokens") => {
            exchange.authority.revoke_tokens(false);
            Ok(json!({}))
        }
        ("GET", dump) => match dump.strip_prefix("dump/") {
            Some(object_type) => Ok(json!(exchange.dump(object_type))),
            None => Err(format!("there is no control '{dump}'")),
        },
        _ => Err(format!("there is no control '{path}'")),
    }
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|error| error.to_string())
}
