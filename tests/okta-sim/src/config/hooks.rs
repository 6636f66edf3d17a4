//! Event hooks and inline hooks, whose secrets are written and never read.

use serde_json::{Map, Value, json};

use super::json::{at, fill, object_at, text};
use super::shelf::Record;
use crate::wire::Refusal;

pub(crate) fn event_hook(
    draft: &mut Map<String, Value>,
    before: Option<&Record>,
    caller: &str,
) -> Result<(), Refusal> {
    channel(draft, before.is_none())?;
    fill(
        draft,
        &json!({"channel": {"config": {"headers": [], "method": "POST"}}}),
    );
    draft.entry("description").or_insert(Value::Null);
    if let Some(events) = object_at(draft, "events") {
        events.entry("filter").or_insert(Value::Null);
    }
    let Some(before) = before else {
        draft.insert("createdBy".to_owned(), json!(caller));
        draft.insert("verificationStatus".to_owned(), json!("UNVERIFIED"));
        return Ok(());
    };
    if before.body.get("channel") != draft.get("channel") {
        draft.insert("verificationStatus".to_owned(), json!("UNVERIFIED"));
    }
    Ok(())
}

pub(crate) fn inline_hook(
    draft: &mut Map<String, Value>,
    before: Option<&Record>,
) -> Result<(), Refusal> {
    let version = text(draft, "version").to_owned();
    if version.is_empty() {
        let kept = before.and_then(|before| before.body.get("version"));
        let blank = || Refusal::validation("version", "The field cannot be left blank");
        draft.insert("version".to_owned(), kept.ok_or_else(blank)?.clone());
    }
    let is_http = at(draft, "channel.type").is_some_and(|channel| channel == "HTTP");
    if is_http
        && at(draft, "channel.config.uri")
            .and_then(Value::as_str)
            .is_none_or(str::is_empty)
    {
        return Err(Refusal::validation(
            "channel.config.uri",
            "The field cannot be left blank",
        ));
    }
    channel(draft, false)?;
    fill(
        draft,
        &json!({"channel": {"version": "1.0.0", "config": {"headers": [], "method": "POST"}}}),
    );
    if let Some(config) = object_at(draft, "channel.config") {
        config.remove("clientSecret");
    }
    Ok(())
}

/// Takes the secrets out of a hook's channel: they are written and never read.
///
/// A new event hook with an authentication scheme needs its secret; a replace may leave it out (assumed).
fn channel(draft: &mut Map<String, Value>, needs_secret: bool) -> Result<(), Refusal> {
    let Some(config) = object_at(draft, "channel.config") else {
        return Err(Refusal::validation(
            "channel.config",
            "The field cannot be left blank",
        ));
    };
    if let Some(scheme) = config.get_mut("authScheme").and_then(Value::as_object_mut) {
        let secret = scheme.remove("value");
        if needs_secret
            && secret
                .as_ref()
                .and_then(Value::as_str)
                .is_none_or(str::is_empty)
        {
            return Err(Refusal::validation(
                "channel.config.authScheme.value",
                "The field cannot be left blank",
            ));
        }
    }
    let headers = config.get_mut("headers").and_then(Value::as_array_mut);
    for header in headers
        .into_iter()
        .flatten()
        .filter_map(Value::as_object_mut)
    {
        header.remove("value");
    }
    Ok(())
}
