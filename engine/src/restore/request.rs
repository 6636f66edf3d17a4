//! From an action to requests: paths filled in, objects read back, lists followed.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use http::Method;
use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::canonical::{Json, canonical};
use crate::catalogue::{Entry, IdRule, Listing, ObjectType};
use crate::clock::Clock;
use crate::collect::collect_one;
use crate::monitor::Monitor;
use crate::okta::pager::Pager;
use crate::okta::{Call, ORGANIZATION_PATH, OktaApi, OktaError, Reply};
use crate::plan::path::text_at;
use crate::plan::{Held, values};

/// What may stand in a path segment as it is.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// How often a write is sent again while Okta says that something is still being set up.
const SETTLE_TRIES_MAX: u32 = 8;

/// The first wait for something to be set up; doubled each time up to eight times this.
const SETTLE_WAIT: Duration = Duration::from_millis(500);

/// Codes that pass by themselves: users still activating, priorities, rules or user types being set up.
const SETTLING: &[&str] = &[
    "E0000112", "E0000239", "E0000249", "E0000253", "E0000254", "E0000263", "E0000268",
];

/// Percent-encodes one segment of a path.
pub(crate) fn segment(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

/// The ids a path may name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Address {
    /// The object's id; of `PARENT/KEY` the key alone.
    pub(crate) id: String,
    pub(crate) parent: Option<String>,
    pub(crate) grandparent: Option<String>,
}

impl Address {
    pub(crate) fn fill(&self, template: &str) -> String {
        let key = self
            .id
            .split_once('/')
            .map_or(self.id.as_str(), |(_, key)| key);
        template
            .replace("{id}", &segment(key))
            .replace(
                "{parent}",
                &segment(self.parent.as_deref().unwrap_or_default()),
            )
            .replace(
                "{grandparent}",
                &segment(self.grandparent.as_deref().unwrap_or_default()),
            )
    }
}

/// The id of an object by its type's rule.
pub(crate) fn id_of(entry: &Entry, parent: Option<&str>, json: &Json) -> Option<String> {
    let tail = |field: &str| {
        text_at(json, field)
            .and_then(|url| url.rsplit('/').next())
            .map(str::to_owned)
    };
    match entry.id {
        IdRule::Field(field) | IdRule::Nested(field) => text_at(json, field).map(str::to_owned),
        IdRule::UnderParent(field) => Some(format!("{}/{}", parent?, text_at(json, field)?)),
        IdRule::UrlTail(field) => tail(field),
        IdRule::UrlTailUnderParent(field) => Some(format!("{}/{}", parent?, tail(field)?)),
        IdRule::Org => text_at(json, "id").map(str::to_owned),
    }
}

/// One org, as a restore talks to it: counts requests and notes the org's own time.
pub(crate) struct Org<'a> {
    api: &'a dyn OktaApi,
    clock: &'a dyn Clock,
    monitor: &'a dyn Monitor,
    now: RefCell<Option<Timestamp>>,
    requests: Cell<u64>,
}

impl<'a> Org<'a> {
    pub(crate) fn new(
        api: &'a dyn OktaApi,
        clock: &'a dyn Clock,
        monitor: &'a dyn Monitor,
    ) -> Self {
        Self {
            api,
            clock,
            monitor,
            now: RefCell::new(None),
            requests: Cell::new(0),
        }
    }

    pub(crate) fn requests(&self) -> u64 {
        self.requests.get()
    }

    /// The org's time by its last answer; asks for one if there has been none.
    pub(crate) fn now(&self) -> Timestamp {
        if self.now.borrow().is_none() {
            // Needs no scope, and its answer is of no interest: the header is.
            drop(self.send(&Call::get(ORGANIZATION_PATH)));
        }
        self.now.borrow().unwrap_or_else(|| self.clock.now())
    }

    /// Makes sure that the org that is meant answers, and notes its time.
    pub(crate) fn greet(&self) -> Result<(), OktaError> {
        self.send(&Call::get(ORGANIZATION_PATH)).map(drop)
    }

    pub(crate) fn send(&self, call: &Call) -> Result<Reply, OktaError> {
        self.requests.set(self.requests.get() + 1);
        let reply = self.api.send(call)?;
        if let Some(date) = reply.date {
            *self.now.borrow_mut() = Some(date);
        }
        Ok(reply)
    }

    /// Sends a write, waiting while Okta says that something is still being set up.
    pub(crate) fn write(&self, call: &Call) -> Result<Reply, OktaError> {
        let mut tries = 0;
        loop {
            let error = match self.send(call) {
                Ok(reply) => return Ok(reply),
                Err(error) => error,
            };
            let settling = refusal(&error).is_some_and(|(_, code)| SETTLING.contains(&code));
            if !settling || tries == SETTLE_TRIES_MAX {
                return Err(error);
            }
            if self.monitor.is_cancelled() {
                return Err(OktaError::Cancelled);
            }
            self.clock.sleep(SETTLE_WAIT * 2u32.pow(tries.min(3)));
            tries += 1;
        }
    }

    /// Reads one object; `None` if it is not there.
    pub(crate) fn read(
        &self,
        object_type: ObjectType,
        address: &Address,
    ) -> Result<Option<(Held, Json)>, OktaError> {
        let Some(get) = object_type.entry().get else {
            return Ok(None);
        };
        if object_type.entry().attachment.is_some() {
            return self.read_with_attachment(object_type, address);
        }
        match self.send(&Call::get(address.fill(get))) {
            Ok(reply) => self
                .held(object_type, address.parent.as_deref(), &reply.body)
                .map(Some),
            Err(error) if error.is_gone() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads an object whose own document leaves something out.
    fn read_with_attachment(
        &self,
        object_type: ObjectType,
        address: &Address,
    ) -> Result<Option<(Held, Json)>, OktaError> {
        self.requests.set(self.requests.get() + 2);
        let parent = address.parent.as_deref();
        let found = collect_one(
            self.api,
            object_type,
            &address.id,
            parent,
            address.grandparent.as_deref(),
        )?;
        Ok(found.map(|object| {
            let json = values::parse(&object.body);
            (
                Held {
                    id: object.id,
                    parent: object.parent,
                    body: object.body,
                },
                json,
            )
        }))
    }

    /// An answer's object in canonical form, and as it came.
    pub(crate) fn held(
        &self,
        object_type: ObjectType,
        parent: Option<&str>,
        raw: &[u8],
    ) -> Result<(Held, Json), OktaError> {
        const BAD: OktaError = OktaError::Malformed { what: "an object" };
        let json = Json::parse(raw).map_err(|_| BAD)?;
        let entry = object_type.entry();
        let id = id_of(entry, parent, &json).ok_or(BAD)?;
        let body = if entry.bare_relation {
            Vec::new()
        } else {
            canonical(object_type, raw).map_err(|_| BAD)?.body
        };
        Ok((
            Held {
                id,
                parent: parent.map(str::to_owned),
                body,
            },
            json,
        ))
    }

    /// Reads every object of a type, or of a type under one parent.
    pub(crate) fn list(
        &self,
        object_type: ObjectType,
        address: &Address,
    ) -> Result<Vec<(Held, Json)>, OktaError> {
        let entry = object_type.entry();
        let paths: Vec<String> = match entry.listing {
            Listing::Pages(paths) => paths.iter().map(|path| (*path).to_owned()).collect(),
            Listing::PagesThenGet(path) => vec![path.to_owned()],
            Listing::UnderParent(path) => vec![address.fill(path)],
            Listing::OnePerParent { .. } | Listing::Single(_) => {
                return Ok(self.read(object_type, address)?.into_iter().collect());
            }
        };
        let mut found = Vec::new();
        for path in paths {
            self.follow(&path, entry.items_property, &mut |raw| {
                found.push(self.held(object_type, address.parent.as_deref(), raw)?);
                Ok(())
            })?;
        }
        Ok(found)
    }

    /// Follows a paged list to its end.
    pub(crate) fn follow(
        &self,
        path: &str,
        items_property: Option<&'static str>,
        take: &mut dyn FnMut(&[u8]) -> Result<(), OktaError>,
    ) -> Result<(), OktaError> {
        let mut pages = Pager::new(self.api, path, items_property);
        loop {
            if self.monitor.is_cancelled() {
                return Err(OktaError::Cancelled);
            }
            self.requests.set(self.requests.get() + 1);
            let Some(page) = pages.next_page()? else {
                return Ok(());
            };
            for item in page.items() {
                take(item)?;
            }
        }
    }

    /// Sends `POST`, `PUT` or `DELETE`.
    pub(crate) fn call(
        &self,
        method: Method,
        path: String,
        body: Option<&Json>,
        safe_to_repeat: bool,
    ) -> Result<Reply, OktaError> {
        self.write(&Call {
            method,
            path,
            body: body.map(Json::to_bytes),
            safe_to_repeat,
        })
    }
}

/// The status and code of a refusal.
pub(crate) fn refusal(error: &OktaError) -> Option<(u16, &str)> {
    match error {
        OktaError::Refused { status, code, .. } => Some((*status, code.as_str())),
        _ => None,
    }
}

/// When Okta says that the object was created.
pub(crate) fn created(json: &Json) -> Option<Timestamp> {
    text_at(json, "created")?.parse().ok()
}

/// The state of an object as Okta shows it.
pub(crate) fn live_status<'j>(entry: &Entry, json: &'j Json) -> Option<&'j str> {
    values::status(entry, json)
}
