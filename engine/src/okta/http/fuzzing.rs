//! What must hold of any answer of an org, whatever its headers and its body say.

use std::sync::{Arc, OnceLock};

use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::{SignedDuration, Timestamp};

use super::{Http, HttpOptions, Raw};
use crate::clock::SystemClock;
use crate::monitor::Silent;
use crate::okta::pacer::{Pacer, window_left};
use crate::okta::{Credentials, OktaError};

/// A client of an org that is never called.
fn http() -> Option<&'static Http> {
    static HTTP: OnceLock<Option<Http>> = OnceLock::new();
    HTTP.get_or_init(|| {
        let domain = "https://acme.okta.com".parse().ok()?;
        let credentials = Credentials::ApiToken("00fuzz".into());
        let options =
            HttpOptions::new(domain, credentials, Arc::new(SystemClock), Arc::new(Silent));
        let http = Http::new(options).ok()?;
        // The other names of the org are known, so that nobody is asked for them.
        http.wire
            .hosts
            .set(vec!["login.example.com".to_owned()])
            .ok()?;
        Some(http)
    })
    .as_ref()
}

/// An answer: status by its first byte, headers a line each, an empty line, a body. It is taken or refused; the next page lies on the
/// same host, and no wait is longer than the longest window.
pub(crate) fn answer(data: &[u8]) -> bool {
    const STATUSES: [u16; 8] = [200, 201, 400, 401, 403, 404, 429, 503];
    let Some((first, rest)) = data.split_first() else {
        return false;
    };
    let mut headers = HeaderMap::new();
    let mut rest = rest;
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        let (line, after) = rest.split_at(end);
        rest = after.get(1..).unwrap_or_default();
        if line.is_empty() {
            break;
        }
        let mut parts = line.splitn(2, |byte| *byte == b':');
        let name = parts
            .next()
            .and_then(|name| HeaderName::from_bytes(name).ok());
        let value = parts
            .next()
            .and_then(|value| HeaderValue::from_bytes(value.trim_ascii()).ok());
        if let (Some(name), Some(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    let raw = Raw {
        status: STATUSES.get(usize::from(first % 8)).copied().unwrap_or(200),
        headers,
        body: rest.to_vec(),
    };
    let (rate, date) = (raw.rate(), raw.date());
    if let Some(rate) = rate {
        let left = window_left(rate, date, Timestamp::UNIX_EPOCH);
        assert!(left > SignedDuration::ZERO && left <= SignedDuration::from_mins(16));
    }
    let pacer = Pacer::new(50);
    pacer.leave("a", Timestamp::UNIX_EPOCH, rate, date);
    pacer.leave("a", Timestamp::MAX, rate, None);
    raw.refuses_token();
    for error in [
        raw.refusal(),
        raw.server_error(true),
        raw.server_error(false),
    ] {
        assert!(!error.code().is_empty());
        drop(error.hint());
    }
    let Some(http) = http() else {
        return false;
    };
    match http.reply(raw) {
        Ok(reply) => {
            if let Some(next) = &reply.next {
                let url = http.wire.url(next);
                let on = url::Url::parse(&url).ok();
                let host = on.as_ref().and_then(url::Url::host_str);
                assert_eq!(host, Some("acme.okta.com"), "{url}");
            }
            reply.next.is_some() || rate.is_some()
        }
        Err(error) => {
            assert!(matches!(error, OktaError::Malformed { .. }), "{error}");
            false
        }
    }
}
