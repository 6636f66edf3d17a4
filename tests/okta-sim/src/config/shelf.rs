//! Where the objects stand: one list per type, in the order of creation.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::json::text;
use super::table::Kind;

/// One object as stored: its body without links and without what is derived from the host.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) id: String,
    /// The parent's id; empty for what has none.
    pub(crate) parent: String,
    /// Grows with every creation.
    pub(crate) sequence: u64,
    pub(crate) body: Map<String, Value>,
}

impl Record {
    /// Whether Okta made it: it can be neither created nor deleted.
    pub(crate) fn is_system(&self) -> bool {
        self.flag("system")
    }

    /// The same, with the authorization server that every org has.
    pub(crate) fn is_built_in(&self, kind: Kind) -> bool {
        self.is_system() || (kind == Kind::Server && self.flag("default"))
    }

    /// Whether it is switched on.
    pub(crate) fn is_active(&self) -> bool {
        text(&self.body, "status") == "ACTIVE"
    }

    /// The priority, 0 where there is none.
    pub(crate) fn priority(&self) -> u64 {
        self.body
            .get("priority")
            .and_then(Value::as_u64)
            .unwrap_or_default()
    }

    /// The name for people: `name`, or a role's `label`.
    pub(crate) fn name(&self) -> &str {
        match text(&self.body, "name") {
            "" => text(&self.body, "label"),
            name => name,
        }
    }

    fn flag(&self, key: &str) -> bool {
        self.body
            .get(key)
            .and_then(Value::as_bool)
            .unwrap_or_default()
    }
}

/// All objects.
#[derive(Debug, Default)]
pub(crate) struct Shelf {
    records: BTreeMap<Kind, Vec<Record>>,
    sequence: u64,
}

impl Shelf {
    /// Every object of a type.
    pub(crate) fn all(&self, kind: Kind) -> &[Record] {
        self.records
            .get(&kind)
            .map(Vec::as_slice)
            .unwrap_or_default()
    }

    /// The objects of a type under one parent, in the order of creation.
    pub(crate) fn children<'a>(
        &'a self,
        kind: Kind,
        parent: &'a str,
    ) -> impl Iterator<Item = &'a Record> + 'a {
        self.all(kind)
            .iter()
            .filter(move |record| record.parent == parent)
    }

    /// One object by its id.
    pub(crate) fn get(&self, kind: Kind, id: &str) -> Option<&Record> {
        self.all(kind).iter().find(|record| record.id == id)
    }

    /// One object by its id, to change it.
    pub(crate) fn get_mut(&mut self, kind: Kind, id: &str) -> Option<&mut Record> {
        self.records
            .get_mut(&kind)?
            .iter_mut()
            .find(|record| record.id == id)
    }

    /// Adds an object; its body says its id.
    pub(crate) fn add(&mut self, kind: Kind, parent: &str, body: Map<String, Value>) {
        self.sequence += 1;
        let record = Record {
            id: text(&body, "id").to_owned(),
            parent: parent.to_owned(),
            sequence: self.sequence,
            body,
        };
        self.records.entry(kind).or_default().push(record);
    }

    /// Removes an object and gives it back.
    pub(crate) fn remove(&mut self, kind: Kind, id: &str) -> Option<Record> {
        let records = self.records.get_mut(&kind)?;
        let place = records.iter().position(|record| record.id == id)?;
        Some(records.remove(place))
    }

    /// Removes every object under a parent and gives their ids.
    pub(crate) fn remove_children(&mut self, kind: Kind, parent: &str) -> Vec<String> {
        let ids: Vec<String> = self
            .children(kind, parent)
            .map(|record| record.id.clone())
            .collect();
        if let Some(records) = self.records.get_mut(&kind) {
            records.retain(|record| record.parent != parent);
        }
        ids
    }
}
