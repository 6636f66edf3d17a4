//! Paging: limits, and cursors that only this org can make.
//!
//! A cursor is the position, the time of issue and a keyed tag over both and the list it belongs to:
//! one that was never issued, was altered, is for another list or is too old is refused.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::{
    org::Core,
    response::PageOf,
    wire::{Refusal, Request},
};

/// Makes and reads cursors.
#[derive(Debug, Clone)]
pub(crate) struct Cursors {
    key: [u8; 32],
    /// How long a cursor lives, in milliseconds; `None` is for ever.
    pub(crate) lifetime_ms: Option<i64>,
    /// Cursors issued before this moment are dead.
    pub(crate) dead_before: i64,
}

impl Cursors {
    /// Cursors of the org generated from `seed`.
    pub(crate) fn new(seed: u64) -> Self {
        let key = blake3::derive_key("okta-sim paging cursors v1", &seed.to_le_bytes());
        Self {
            key,
            lifetime_ms: None,
            dead_before: i64::MIN,
        }
    }

    /// The cursor for `position` of `list`.
    pub(crate) fn issue(&self, list: &str, position: u64, now: i64) -> String {
        let mut bytes = [0u8; 24];
        let parts = position.to_le_bytes().into_iter().chain(now.to_le_bytes());
        for (slot, byte) in bytes.iter_mut().zip(parts) {
            *slot = byte;
        }
        let tag = self.tag(list, position, now);
        for (slot, byte) in bytes.iter_mut().skip(16).zip(tag) {
            *slot = byte;
        }
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The position behind a cursor of `list`, if it is good at `now`.
    pub(crate) fn read(&self, list: &str, cursor: &str, now: i64) -> Option<u64> {
        let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
        if bytes.len() != 24 {
            return None;
        }
        let word = |at: usize| -> Option<[u8; 8]> { bytes.get(at..at + 8)?.try_into().ok() };
        let position = u64::from_le_bytes(word(0)?);
        let issued = i64::from_le_bytes(word(8)?);
        let genuine = word(16)? == self.tag(list, position, issued);
        let fresh = self.lifetime_ms.is_none_or(|life| now - issued <= life);
        (genuine && fresh && issued >= self.dead_before).then_some(position)
    }

    fn tag(&self, list: &str, position: u64, issued: i64) -> [u8; 8] {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher
            .update(&position.to_le_bytes())
            .update(&issued.to_le_bytes())
            .update(list.as_bytes());
        let mut tag = [0u8; 8];
        hasher.finalize_xof().fill(&mut tag);
        tag
    }
}

/// An endpoint's page sizes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PageSizes {
    pub(crate) default: usize,
    pub(crate) max: usize,
    pub(crate) min: usize,
}

impl PageSizes {
    /// Sizes from 1 to `max`.
    pub(crate) const fn new(default: usize, max: usize) -> Self {
        Self {
            default,
            max,
            min: 1,
        }
    }
}

/// The page a request asks for.
#[derive(Debug, Clone)]
pub(crate) struct Window {
    pub(crate) limit: usize,
    /// The position to start at.
    pub(crate) start: u64,
    list: String,
}

impl Window {
    /// Reads `limit` and `after`.
    ///
    /// # Errors
    ///
    /// 400 `E0000001` for a limit that is no number or outside the endpoint's bounds; 400 `E0000029`
    /// (apps) or `E0000031` for a cursor this list did not issue or that expired.
    pub(crate) fn read(core: &Core, request: &Request, sizes: PageSizes) -> Result<Self, Refusal> {
        let limit = match request.param("limit") {
            None => sizes.default,
            Some(text) => text
                .parse()
                .ok()
                .filter(|limit| (sizes.min..=sizes.max).contains(limit))
                .ok_or_else(|| {
                    Refusal::validation(
                        "limit",
                        &format!("The limit must be between {} and {}.", sizes.min, sizes.max),
                    )
                })?,
        };
        let list = list_name(request);
        let start = match request.param("after") {
            None => 0,
            Some(cursor) => core
                .cursors
                .read(&list, cursor, core.clock.now())
                .ok_or_else(|| bad_cursor(request))?,
        };
        Ok(Self { limit, start, list })
    }

    /// The links of the page, with `next` at `next`.
    pub(crate) fn page(&self, core: &Core, request: &Request, next: Option<u64>) -> PageOf {
        self.page_without(core, request, next, &[])
    }

    /// The same, leaving the parameters `dropped` out of the links, as some endpoints do.
    pub(crate) fn page_without(
        &self,
        core: &Core,
        request: &Request,
        next: Option<u64>,
        dropped: &[&str],
    ) -> PageOf {
        let cursor = next.map(|at| core.cursors.issue(&self.list, at, core.clock.now()));
        PageOf {
            this: Some(link(request, request.param("after"), self.limit, dropped)),
            next: cursor.map(|cursor| link(request, Some(&cursor), self.limit, dropped)),
        }
    }
}

/// What a cursor is bound to: the path and whatever selects or orders the list.
fn list_name(request: &Request) -> String {
    let mut name = request.segments.join("/");
    for key in ["search", "filter", "q", "sortBy", "sortOrder"] {
        if let Some(value) = request.param(key) {
            name.push('\n');
            name.push_str(value);
        }
    }
    name
}

fn bad_cursor(request: &Request) -> Refusal {
    if request.segments.iter().any(|part| part == "apps") {
        return Refusal {
            status: 400,
            code: "E0000029",
            summary: "Invalid paging request".to_owned(),
            causes: Vec::new(),
        };
    }
    Refusal {
        status: 400,
        code: "E0000031",
        summary: "Invalid search criteria: the 'after' cursor is not valid.".to_owned(),
        causes: Vec::new(),
    }
}

fn link(request: &Request, after: Option<&str>, limit: usize, dropped: &[&str]) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    if let Some(after) = after {
        query.append_pair("after", after);
    }
    query.append_pair("limit", &limit.to_string());
    for (key, value) in &request.query {
        if key != "after" && key != "limit" && !dropped.contains(&key.as_str()) {
            query.append_pair(key, value);
        }
    }
    format!("/{}?{}", request.segments.join("/"), query.finish())
}

#[cfg(test)]
mod tests {
    use super::Cursors;

    #[test]
    fn only_an_issued_cursor_of_the_same_list_is_read() {
        let mut cursors = Cursors::new(1);
        let cursor = cursors.issue("users", 200, 1000);
        assert_eq!(cursors.read("users", &cursor, 2000), Some(200));
        assert_eq!(cursors.read("groups", &cursor, 2000), None);
        assert_eq!(Cursors::new(2).read("users", &cursor, 2000), None);
        let mut forged = cursor.clone().into_bytes();
        *forged.first_mut().unwrap() ^= 1;
        assert_eq!(
            cursors.read("users", &String::from_utf8(forged).unwrap(), 2000),
            None
        );
        cursors.lifetime_ms = Some(500);
        assert_eq!(cursors.read("users", &cursor, 2000), None);
        assert_eq!(cursors.read("users", &cursor, 1400), Some(200));
    }
}
