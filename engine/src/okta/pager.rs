//! Follows a list from page to page, to its end or to an honest error.
//!
//! The end is the absence of a `next` link, and nothing else: a short or an empty page proves nothing. A
//! cursor that the server no longer knows restarts the list, so items may be handed on more than once: the
//! taker dedupes by id. A page that times out is asked for again at half its size. A `next` that leaves the
//! list's path, or that was followed before, is an error: what follows cannot be known.

use std::collections::HashSet;
use std::ops::Range;

use super::{Call, OktaApi, OktaError, Reply};
use crate::canonical::item_places;

/// How often a list is begun again after its cursor expired.
const RESTARTS_MAX: u32 = 3;

/// How often one page is asked for again because its body was malformed.
const REREADS_MAX: u32 = 2;

/// The smallest page that a list is reduced to when pages time out.
const LIMIT_MIN: u32 = 20;

/// One page of a list, as it came.
#[derive(Debug)]
pub struct Page {
    reply: Reply,
    /// Where the items stand in the body: a page is divided once.
    places: Vec<Range<usize>>,
    /// Whether the list began again with this page: what was handed on before may come again.
    pub restarted: bool,
}

impl Page {
    /// The items as they stand.
    pub fn items(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        let item = |place: &Range<usize>| self.reply.body.get(place.clone());
        self.places
            .iter()
            .map(move |place| item(place).unwrap_or_default())
    }

    /// Gives the page's memory back to the org's client, for the next page.
    pub fn give_back(self, api: &dyn OktaApi) {
        api.take_back(self.reply.body);
    }

    /// The bytes of the page.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.reply.body.len()
    }

    /// The answer itself.
    #[must_use]
    pub fn reply(&self) -> &Reply {
        &self.reply
    }
}

/// Reads one list.
pub struct Pager<'a> {
    api: &'a dyn OktaApi,
    start: String,
    items_property: Option<&'static str>,
    next: Option<String>,
    followed: HashSet<String>,
    restarts: u32,
    limit: Option<u32>,
    just_restarted: bool,
}

impl std::fmt::Debug for Pager<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pager({})", path_of(&self.start))
    }
}

impl<'a> Pager<'a> {
    /// Begins at `path`. `items_property`: where the items stand in each page; `None` for a bare array.
    pub fn new(
        api: &'a dyn OktaApi,
        path: impl Into<String>,
        items_property: Option<&'static str>,
    ) -> Self {
        let start = path.into();
        Self {
            api,
            next: Some(start.clone()),
            start,
            items_property,
            followed: HashSet::new(),
            restarts: 0,
            limit: None,
            just_restarted: false,
        }
    }

    /// The next page, or `None` after the last.
    ///
    /// # Errors
    ///
    /// [`OktaError`]; the list is then known in part only, and the pager is at its end.
    pub fn next_page(&mut self) -> Result<Option<Page>, OktaError> {
        let mut rereads = 0;
        while let Some(path) = self.next.take() {
            let path = self
                .limit
                .map_or_else(|| path.clone(), |limit| with_limit(&path, limit));
            let at_start = self.followed.is_empty();
            let error = match self.read(&path) {
                Ok((reply, places)) => {
                    self.next = self.checked_next(&reply)?;
                    let restarted = std::mem::take(&mut self.just_restarted);
                    return Ok(Some(Page {
                        reply,
                        places,
                        restarted,
                    }));
                }
                Err(error) => error,
            };
            match error {
                OktaError::Refused {
                    status: 400,
                    ref code,
                    ..
                } if !at_start && is_cursor_error(code) && self.restarts < RESTARTS_MAX => {
                    self.restarts += 1;
                    self.followed.clear();
                    self.just_restarted = true;
                    self.next = Some(self.start.clone());
                }
                OktaError::Failed { ref code, .. } if code == "E0000009" => match halved(&path) {
                    Some(limit) => {
                        self.limit = Some(limit);
                        self.next = Some(path);
                    }
                    None => return Err(error),
                },
                OktaError::Malformed { .. } if rereads < REREADS_MAX => {
                    rereads += 1;
                    self.next = Some(path);
                }
                error => return Err(error),
            }
        }
        Ok(None)
    }

    /// Reads the whole list and hands on each item; after an expired cursor some come again.
    ///
    /// # Errors
    ///
    /// As [`Pager::next_page`], or what `take` returns.
    pub fn for_each<E: From<OktaError>>(
        mut self,
        mut take: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        while let Some(page) = self.next_page()? {
            for item in page.items() {
                take(item)?;
            }
            page.give_back(self.api);
        }
        Ok(())
    }

    fn read(&self, path: &str) -> Result<(Reply, Vec<Range<usize>>), OktaError> {
        let reply = self.api.send(&Call::get(path))?;
        let places = item_places(&reply.body, self.items_property);
        let places = places.map_err(|_| OktaError::Malformed {
            what: "a page is no list of objects",
        })?;
        Ok((reply, places))
    }

    fn checked_next(&mut self, reply: &Reply) -> Result<Option<String>, OktaError> {
        let Some(next) = &reply.next else {
            return Ok(None);
        };
        if path_of(next) != path_of(&self.start) {
            return Err(OktaError::Malformed {
                what: "the next page belongs to another list",
            });
        }
        if !self.followed.insert(next.clone()) {
            return Err(OktaError::Malformed {
                what: "the pages of the list run in a circle",
            });
        }
        Ok(Some(next.clone()))
    }
}

/// Okta's codes for a cursor it does not know (any more).
pub(crate) fn is_cursor_error(code: &str) -> bool {
    matches!(code, "E0000029" | "E0000031")
}

fn path_of(path: &str) -> &str {
    path.split('?').next().unwrap_or_default()
}

fn limit_of(path: &str) -> Option<u32> {
    let (_, query) = path.split_once('?')?;
    query
        .split('&')
        .find_map(|part| part.strip_prefix("limit="))?
        .parse()
        .ok()
}

/// Half of the page size, if it can be halved.
fn halved(path: &str) -> Option<u32> {
    limit_of(path)
        .map(|limit| limit / 2)
        .filter(|limit| *limit >= LIMIT_MIN)
}

fn with_limit(path: &str, limit: u32) -> String {
    let Some((start, query)) = path.split_once('?') else {
        return path.to_owned();
    };
    let parts: Vec<String> = query
        .split('&')
        .map(|part| match part.strip_prefix("limit=") {
            Some(_) => format!("limit={limit}"),
            None => part.to_owned(),
        })
        .collect();
    format!("{start}?{}", parts.join("&"))
}

#[cfg(test)]
mod tests;
