//! The configuration of the simulated org: zones, origins, behaviors, authenticators, identity providers,
//! authorization servers and their parts, policies and rules, hooks and custom roles.
//!
//! [`ConfigStore`] is plain memory behind [`wire`](crate::wire): no HTTP, no clock and no access control of its own.
//! What a resource is stands in a table; the modules beside it hold what single types do.
//!
//! **References.** A request that names an object which does not exist is refused. When a group, user or app goes,
//! nothing here changes: conditions keep the dangling id, as they do at Okta. So the org needs to tell the store of
//! no deletion; what *it* must know of changes here, it takes from [`ConfigStore::take_changes`].

mod authenticators;
mod behaviors;
mod calls;
mod check;
mod cursor;
mod filter;
mod hooks;
mod json;
mod links;
mod lists;
mod page;
mod policies;
mod priority;
mod providers;
mod roles;
mod route;
mod seed;
mod servers;
mod shelf;
mod special;
mod table;
mod zones;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use http::Method;
use serde_json::Value;

use crate::wire::{Answer, Request, World};

pub use links::admin_url;
pub use seed::Seeds;

use cursor::Cursors;
use json::text;
use roles::Grants;
use shelf::{Record, Shelf};
use table::{Kind, POLICY_TYPES, RESOURCES};

/// Something that came to be or went, for the rest of the org to follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The catalogue type: `policy_access`, `idp` …
    pub object_type: &'static str,
    /// The object's id.
    pub id: String,
    /// Whether it was created; else it was deleted.
    pub created: bool,
}

/// Every configuration object of the org.
#[derive(Debug)]
pub struct ConfigStore {
    shelf: Shelf,
    grants: Grants,
    cursors: Cursors,
    changes: Vec<Change>,
    /// The group that holds every user, which Okta puts into policies that name none.
    everyone: String,
    /// How many writes to policies and rules are still refused with 423.
    reconciling: u32,
}

impl ConfigStore {
    /// What every org has, and a deterministic set of more that grows with the number of users.
    ///
    /// Puts nothing into the System Log: these objects are older than it.
    #[must_use]
    pub fn new(world: &mut dyn World, seeds: &Seeds) -> Self {
        let mut store = Self {
            shelf: Shelf::default(),
            grants: Grants::default(),
            cursors: Cursors::default(),
            changes: Vec::new(),
            everyone: seeds.everyone.clone(),
            reconciling: 0,
        };
        seed::fill(&mut store, world, seeds);
        store
    }

    /// Answers a request that was authorised already; `None` if its path is not one of these resources.
    pub fn handle(&mut self, world: &mut dyn World, request: &Request) -> Option<Answer> {
        let path = request.path();
        let route = route::route(&path)?;
        Some(self.answer(world, request, &route))
    }

    /// The OAuth scope that a request needs; `None` if its path is not one of these resources.
    #[must_use]
    pub fn required_scopes(request: &Request) -> Option<&'static str> {
        let path = request.path();
        let (read, manage) = route::route(&path)?.resource.scopes;
        Some(if request.method == Method::GET {
            read
        } else {
            manage
        })
    }

    /// Every object of a catalogue type by its id, as a GET at `base_url` shows it; empty for other types.
    #[must_use]
    pub fn dump(&self, object_type: &str, base_url: &str) -> BTreeMap<String, Value> {
        self.typed(object_type)
            .map(|(kind, record)| (record.id.clone(), self.shown(kind, record, base_url)))
            .collect()
    }

    /// The ids of every object of a catalogue type; empty for other types.
    #[must_use]
    pub fn ids(&self, object_type: &str) -> Vec<String> {
        self.typed(object_type)
            .map(|(_, record)| record.id.clone())
            .collect()
    }

    /// Whether an object of a catalogue type exists.
    #[must_use]
    pub fn exists(&self, object_type: &str, id: &str) -> bool {
        self.typed(object_type).any(|(_, record)| record.id == id)
    }

    /// The system's policy of a type, such as `ACCESS_POLICY`: where apps fall back to.
    #[must_use]
    pub fn default_policy(&self, policy_type: &str) -> Option<&str> {
        self.shelf
            .all(Kind::Policy)
            .iter()
            .find(|record| record.is_system() && text(&record.body, "type") == policy_type)
            .map(|record| record.id.as_str())
    }

    /// What was created and deleted since this was last called, in order.
    pub fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    /// How many requests list everything at the largest page sizes, by catalogue type; a custom role's permissions
    /// count as `custom_role_permission`.
    #[must_use]
    pub fn minimum_requests(&self) -> BTreeMap<&'static str, usize> {
        let mut requests = BTreeMap::new();
        for resource in RESOURCES
            .iter()
            .filter(|resource| resource.kind != Kind::Policy)
        {
            let lists: usize = match resource.parents.last() {
                None => resource.paging.pages(self.shelf.all(resource.kind).len()),
                Some(parent) => {
                    let parents = self.shelf.all(*parent).iter();
                    let children =
                        parents.map(|parent| self.shelf.children(resource.kind, &parent.id));
                    children
                        .map(|children| resource.paging.pages(children.count()))
                        .sum()
                }
            };
            requests.insert(plain_type(resource.kind), lists);
        }
        for object_type in POLICY_TYPES
            .iter()
            .map(|name| policies::catalogue_type(name))
        {
            let count = self.typed(object_type).count();
            requests.insert(object_type, Kind::Policy.resource().paging.pages(count));
        }
        requests.insert("custom_role_permission", self.shelf.all(Kind::Role).len());
        requests
    }

    /// Lets every paging cursor that was handed out expire.
    pub fn expire_cursors(&mut self) {
        self.cursors.expire();
    }

    /// Refuses the next `writes` writes to policies and rules with 423 `E0000239`, as while priorities are reconciled.
    pub fn reconcile_priorities(&mut self, writes: u32) {
        self.reconciling = writes;
    }

    /// The objects of a catalogue type. Policies of every type are of one kind here.
    fn typed(&self, object_type: &str) -> impl Iterator<Item = (Kind, &Record)> {
        RESOURCES.iter().flat_map(move |resource| {
            self.shelf
                .all(resource.kind)
                .iter()
                .filter(move |record| catalogue_type(resource.kind, record) == object_type)
                .map(move |record| (resource.kind, record))
        })
    }
}

/// The catalogue's name for an object's type.
fn catalogue_type(kind: Kind, record: &Record) -> &'static str {
    match kind {
        Kind::Policy => policies::catalogue_type(text(&record.body, "type")),
        _ => plain_type(kind),
    }
}

/// The catalogue's name for a kind; of policies, which have one for each of their types, none of these.
fn plain_type(kind: Kind) -> &'static str {
    match kind {
        Kind::Zone => "network_zone",
        Kind::Origin => "trusted_origin",
        Kind::Behavior => "behavior",
        Kind::Authenticator => "authenticator",
        Kind::IdentityProvider => "idp",
        Kind::Server => "authorization_server",
        Kind::Scope => "as_scope",
        Kind::Claim => "as_claim",
        Kind::ServerPolicy => "as_policy",
        Kind::ServerRule => "as_policy_rule",
        Kind::Policy => "policy",
        Kind::Rule => "policy_rule",
        Kind::EventHook => "event_hook",
        Kind::InlineHook => "inline_hook",
        Kind::Role => "custom_role",
    }
}
