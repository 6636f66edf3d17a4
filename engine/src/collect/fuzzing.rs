//! What must hold of any bytes that are taken for a page of the System Log, and of the paths that requests are made from.

use super::log::Event;
use super::paths::{expand, last_segment};

/// A page of events is read or refused; every target has an id.
pub(crate) fn log(data: &[u8]) -> bool {
    let Ok(events) = serde_json::from_slice::<Vec<Event>>(data) else {
        return false;
    };
    for event in &events {
        event.targets().for_each(drop);
    }
    true
}

/// Whatever an id holds, it stays one segment of a path.
pub(crate) fn paths(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else {
        return false;
    };
    let path = expand(
        "/api/v1/{grandparent}/x/{parent}/{id}",
        text,
        Some(text),
        Some(text),
    );
    assert_eq!(path.split('/').count(), 7, "{path}");
    assert!(
        path.bytes()
            .all(|byte| byte.is_ascii_graphic() && !b"?#{}".contains(&byte)),
        "{path}"
    );
    last_segment(text).is_some()
}
