//! The rules of the configuration resources, through the store's own door.

mod built;
mod lists;
mod objects;
mod orders;

use std::collections::BTreeSet;

use http::Method;
use serde_json::Value;

use super::{ConfigStore, Seeds};
use crate::wire::{LogEvent, Refusal, Reply, Request, World};

/// An org with a clock that moves a second with each id, and a log.
#[derive(Debug, Default)]
struct Org {
    ticks: u64,
    events: Vec<LogEvent>,
    known: BTreeSet<String>,
}

impl World for Org {
    fn now(&self) -> String {
        format!(
            "2026-05-01T{:02}:{:02}:{:02}.250Z",
            self.ticks / 3600 % 24,
            self.ticks / 60 % 60,
            self.ticks % 60
        )
    }

    fn new_id(&mut self, prefix: &str) -> String {
        self.ticks += 1;
        format!("{prefix}{:0>17}", self.ticks)
    }

    fn org_id(&self) -> String {
        "00o00000000000000000".to_owned()
    }

    fn emit(&mut self, event: LogEvent) {
        self.events.push(event);
    }

    fn exists(&self, object_type: &str, id: &str) -> bool {
        self.known.contains(&format!("{object_type}/{id}"))
    }
}

/// A store in its org.
#[derive(Debug)]
struct Sim {
    org: Org,
    store: ConfigStore,
}

const BASE: &str = "https://acme.okta.com";

impl Sim {
    fn new() -> Self {
        Self::with_users(250)
    }

    fn with_users(user_count: usize) -> Self {
        let list = |kind: &str, n: usize| (0..n).map(|i| format!("{kind}{i}")).collect::<Vec<_>>();
        let seeds = Seeds {
            user_count,
            seed: 7,
            everyone: "everyone".to_owned(),
            groups: list("group", 5),
            users: list("user", 5),
            apps: list("app", 5),
            user_types: list("user_type", 2),
        };
        let mut org = Org::default();
        for (kind, ids) in [
            ("group", &seeds.groups),
            ("user", &seeds.users),
            ("app", &seeds.apps),
            ("user_type", &seeds.user_types),
        ] {
            org.known
                .extend(ids.iter().map(|id| format!("{kind}/{id}")));
        }
        org.known.insert("group/everyone".to_owned());
        let store = ConfigStore::new(&mut org, &seeds);
        Self { org, store }
    }

    fn request(method: Method, target: &str, body: Option<Value>) -> Request {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let decode = |text: &str| {
            percent_encoding::percent_decode_str(text)
                .decode_utf8_lossy()
                .into_owned()
        };
        Request {
            method,
            segments: path
                .split('/')
                .filter(|segment| !segment.is_empty())
                .map(decode)
                .collect(),
            query: query
                .split('&')
                .filter_map(|pair| pair.split_once('='))
                .map(|(key, value)| (key.to_owned(), decode(value)))
                .collect(),
            body,
            base_url: BASE.to_owned(),
            caller: "user0".to_owned(),
        }
    }

    fn call(
        &mut self,
        method: Method,
        target: &str,
        body: Option<Value>,
    ) -> Result<Reply, Refusal> {
        self.org.ticks += 1;
        let request = Self::request(method, target, body);
        self.store
            .handle(&mut self.org, &request)
            .expect("a configuration path")
    }

    fn get(&mut self, target: &str) -> Value {
        self.call(Method::GET, target, None).unwrap().body.unwrap()
    }

    fn post(&mut self, target: &str, body: Value) -> Value {
        self.call(Method::POST, target, Some(body))
            .unwrap()
            .body
            .unwrap()
    }

    fn put(&mut self, target: &str, body: Value) -> Value {
        self.call(Method::PUT, target, Some(body))
            .unwrap()
            .body
            .unwrap()
    }

    fn step(&mut self, target: &str) -> u16 {
        self.call(Method::POST, target, None).unwrap().status
    }

    fn delete(&mut self, target: &str) -> Result<u16, Refusal> {
        self.call(Method::DELETE, target, None)
            .map(|reply| reply.status)
    }

    fn refused(
        &mut self,
        method: Method,
        target: &str,
        body: Option<Value>,
    ) -> (u16, &'static str) {
        let refusal = self.call(method, target, body).unwrap_err();
        (refusal.status, refusal.code)
    }

    /// Every item of a list, its next links followed, and the sizes of the pages.
    fn pages(&mut self, target: &str) -> (Vec<Value>, Vec<usize>) {
        let (mut items, mut sizes) = (Vec::new(), Vec::new());
        let mut next = Some(target.to_owned());
        while let Some(target) = next {
            let reply = self.call(Method::GET, &target, None).unwrap();
            let page = reply.body.unwrap().as_array().unwrap().clone();
            sizes.push(page.len());
            items.extend(page);
            next = reply.page.and_then(|page| page.next);
        }
        (items, sizes)
    }

    fn event_types(&self) -> Vec<&str> {
        self.org
            .events
            .iter()
            .map(|event| event.event_type.as_str())
            .collect()
    }
}

/// The `id` of an object.
fn id(object: &Value) -> String {
    object["id"].as_str().unwrap().to_owned()
}
