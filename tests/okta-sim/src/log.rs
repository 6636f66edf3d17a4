//! The System Log: every change, delivered after a delay, read by polling or by a bounded query.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{
    clock::{parse_time, time_text},
    cursor::{PageSizes, Window},
    filter::Filter,
    json::{ArrayWriter, push_value},
    org::Core,
    random::hash,
    response::{Outcome, PageOf, Response, refusal},
    wire::{LogEvent, LogTarget, Refusal, Request},
};

/// Page sizes of `/api/v1/logs`.
const SIZES: PageSizes = PageSizes {
    default: 100,
    max: 1000,
    min: 0,
};
/// How far back `since` reaches by default: 7 days.
const DEFAULT_SINCE_MS: i64 = 7 * 86_400_000;
/// How long events are kept: 90 days.
const RETENTION_MS: i64 = 90 * 86_400_000;

/// Who did something.
#[derive(Debug, Clone)]
pub(crate) struct Actor {
    pub(crate) id: String,
    pub(crate) kind: &'static str,
    pub(crate) name: String,
}

/// One event as kept.
#[derive(Debug, Clone)]
struct Event {
    published: i64,
    /// When it can first be read.
    persisted: i64,
    body: Value,
}

/// The events, in the order in which they were persisted.
#[derive(Debug, Clone, Default)]
pub(crate) struct SystemLog {
    events: Vec<Event>,
    /// Milliseconds from an event to its being readable.
    pub(crate) delay_ms: i64,
}

impl SystemLog {
    /// Adds an event by `actor` at `now`.
    pub(crate) fn add(&mut self, seed: u64, event: LogEvent, actor: &Actor, uri: &str, now: i64) {
        let number = self.events.len() as u64;
        let (a, b) = (
            hash(seed, 0x6c6f_6731, number),
            hash(seed, 0x6c6f_6732, number),
        );
        let uuid = format!(
            "{:08x}-{:04x}-11f0-{:04x}-{:012x}",
            a >> 32,
            a & 0xffff,
            (b >> 48) & 0x3fff | 0x8000,
            b & 0xffff_ffff_ffff
        );
        let body = json!({
            "actor": {"id": actor.id, "type": actor.kind, "alternateId": actor.id, "displayName": actor.name, "detailEntry": null},
            "authenticationContext": {"authenticationStep": 0, "externalSessionId": format!("trs{}", &uuid)},
            "client": {"userAgent": {"rawUserAgent": "okta-sim", "os": "Unknown", "browser": "UNKNOWN"}, "zone": "null", "device": "Unknown", "id": null, "ipAddress": "127.0.0.1", "geographicalContext": null},
            "displayMessage": event.event_type,
            "eventType": event.event_type,
            "outcome": {"result": "SUCCESS", "reason": null},
            "published": time_text(now),
            "severity": "INFO",
            "debugContext": {"debugData": {"requestUri": uri}},
            "legacyEventType": null,
            "transaction": {"type": "WEB", "id": format!("txn{number}"), "detail": {}},
            "uuid": uuid,
            "version": "0",
            "target": event.targets.iter().map(target_body).collect::<Vec<_>>(),
        });
        self.events.push(Event {
            published: now,
            persisted: now + self.delay_ms,
            body,
        });
    }

    /// The events, delivered or not.
    pub(crate) fn bodies(&self) -> impl Iterator<Item = &Value> {
        self.events.iter().map(|event| &event.body)
    }
}

fn target_body(target: &LogTarget) -> Value {
    json!({"id": target.id, "type": target.kind, "alternateId": target.alternate_id, "displayName": target.display_name, "detailEntry": null})
}

/// `GET /api/v1/logs`.
pub(crate) fn list(core: &Core, request: &Request) -> Outcome {
    let window = Window::read(core, request, SIZES)?;
    let now = core.clock.now();
    let until = time_param(request, "until")?;
    let since = time_param(request, "since")?.unwrap_or(until.unwrap_or(now) - DEFAULT_SINCE_MS);
    let since = since.max(now - RETENTION_MS);
    let filter = filter_param(request)?;
    let descending = match request.param("sortOrder") {
        None | Some("ASCENDING") => false,
        Some("DESCENDING") => true,
        Some(_) => {
            return Err(Refusal::validation(
                "sortOrder",
                "The field must be ASCENDING or DESCENDING.",
            ));
        }
    };
    let polling = until.is_none() && !descending;
    let delivered = |event: &&Event| {
        event.persisted <= now
            && event.published > since
            && until.is_none_or(|until| event.published < until)
            && filter
                .as_ref()
                .is_none_or(|f| f.holds(&|name: &str| attribute(&event.body, name)))
            && keywords_hold(request, &event.body)
    };
    if polling {
        return Ok(poll(core, request, &window, delivered, now));
    }
    let mut events: Vec<&Event> = core.log.events.iter().filter(delivered).collect();
    events.sort_by_key(|event| event.published);
    if descending {
        events.reverse();
    }
    let start = usize::try_from(window.start).unwrap_or(usize::MAX);
    let page: Vec<&Event> = events
        .iter()
        .skip(start)
        .take(window.limit)
        .copied()
        .collect();
    let end = start + page.len();
    let next = (end < events.len()).then_some(end as u64);
    Ok(Response::list(
        written(&page),
        window.page(core, request, next),
    ))
}

/// Polling reads in the order of persistence and always says where to ask next.
fn poll(
    core: &Core,
    request: &Request,
    window: &Window,
    delivered: impl Fn(&&Event) -> bool,
    now: i64,
) -> Response {
    let start = usize::try_from(window.start).unwrap_or(usize::MAX);
    let mut page = Vec::new();
    let mut at = start;
    for event in core.log.events.iter().skip(start) {
        if event.persisted > now || page.len() >= window.limit {
            break;
        }
        at += 1;
        if delivered(&event) {
            page.push(event);
        }
    }
    let PageOf { this, next } = window.page(core, request, Some(at as u64));
    Response::list(written(&page), PageOf { this, next })
}

fn written(events: &[&Event]) -> String {
    let mut array = ArrayWriter::with_room(events.len() * 1200);
    for event in events {
        push_value(array.item(), &event.body);
    }
    array.finish()
}

fn time_param(request: &Request, name: &str) -> Result<Option<i64>, Refusal> {
    request
        .param(name)
        .map(|text| {
            parse_time(text).ok_or_else(|| Refusal::validation(name, "The date is not valid."))
        })
        .transpose()
}

fn filter_param(request: &Request) -> Result<Option<Filter>, Refusal> {
    let Some(text) = request.param("filter") else {
        return Ok(None);
    };
    let filter = Filter::parse(text)
        .filter(|f| f.comparisons().iter().all(|(name, _)| *name != "published"))
        .ok_or_else(|| refusal(400, "E0000053", "Invalid filter"))?;
    Ok(Some(filter))
}

fn keywords_hold(request: &Request, body: &Value) -> bool {
    request.param("q").is_none_or(|q| {
        let text = body.to_string().to_lowercase();
        q.split_whitespace()
            .all(|word| text.contains(&word.to_lowercase()))
    })
}

/// The values at a dotted path; a list on the way gives one for each of its items.
pub(crate) fn attribute(body: &Value, path: &str) -> Vec<String> {
    let mut at = vec![body];
    for part in path.split('.') {
        at = at
            .into_iter()
            .filter_map(|value| value.get(part))
            .flat_map(|value| match value {
                Value::Array(items) => items.iter().collect(),
                other => vec![other],
            })
            .collect();
    }
    at.into_iter()
        .filter_map(|value| match value {
            Value::String(text) => Some(text.clone()),
            Value::Null | Value::Object(_) | Value::Array(_) => None,
            other => Some(other.to_string()),
        })
        .collect()
}

/// A target whose name is its label for people too.
pub(crate) fn target(kind: &str, id: &str, name: &str) -> LogTarget {
    LogTarget {
        id: id.to_owned(),
        kind: kind.to_owned(),
        alternate_id: name.to_owned(),
        display_name: name.to_owned(),
    }
}

/// How often each event type occurred.
pub(crate) fn tally(log: &SystemLog) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for body in log.bodies() {
        if let Some(kind) = body.get("eventType").and_then(Value::as_str) {
            *counts.entry(kind.to_owned()).or_insert(0) += 1;
        }
    }
    counts
}
