//! Listing, reading, creating, replacing, deleting and switching: the same for every resource.

use http::Method;
use serde_json::{Map, Value, json};

use super::json::{merge, text};
use super::links::{links, path_of};
use super::route::{Part, Route};
use super::shelf::Record;
use super::table::{Deletion, Kind, Lifecycle, Resource, Stamps};
use super::{Change, ConfigStore, catalogue_type, check};
use crate::wire::{Answer, LogEvent, LogTarget, PageLinks, Refusal, Reply, Request, World};

/// Where a call goes: the resource and the ids of its parents, which exist.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) resource: &'static Resource,
    pub(crate) parents: Vec<String>,
}

impl Target {
    /// The parent's id; empty where there is none.
    pub(crate) fn parent(&self) -> &str {
        self.parents.last().map(String::as_str).unwrap_or_default()
    }

    pub(crate) fn kind(&self) -> Kind {
        self.resource.kind
    }
}

impl ConfigStore {
    pub(crate) fn answer(
        &mut self,
        world: &mut dyn World,
        request: &Request,
        route: &Route,
    ) -> Answer {
        let target = self.target(route)?;
        let method = &request.method;
        match route.part {
            Part::All if method == Method::GET => self.list(world, request, &target),
            Part::All if method == Method::POST => self.create(world, request, &target),
            Part::One(key) if method == Method::GET => {
                let id = self.find(&target, key)?;
                if target.kind() == Kind::IdentityProvider {
                    self.note_secret_read(world, &id);
                }
                self.reply(200, request, &target, &id)
            }
            Part::One(key) if method == Method::PUT => {
                let id = self.find(&target, key)?;
                self.replace(world, request, &target, &id)
            }
            Part::One(key) if method == Method::POST && target.kind() == Kind::InlineHook => {
                let id = self.find(&target, key)?;
                self.update(world, request, &target, &id)
            }
            Part::One(key)
                if method == Method::DELETE && target.resource.deletion != Deletion::Never =>
            {
                let id = self.find(&target, key)?;
                self.delete(world, &target, &id)
            }
            Part::Step(key, step) if method == Method::POST => {
                let id = self.find(&target, key)?;
                self.step(world, request, &target, &id, step)
            }
            Part::Permissions(key) if method == Method::GET => {
                let id = self.find(&target, key)?;
                Ok(self.permissions(request, &id))
            }
            Part::Permission(key, label) => {
                let id = self.find(&target, key)?;
                self.permission(world, request, &id, label)
            }
            _ => Err(no_such_method()),
        }
    }

    /// Checks that the parents exist, each under the one before.
    fn target(&self, route: &Route) -> Result<Target, Refusal> {
        let mut parents: Vec<String> = Vec::new();
        for (kind, key) in route.resource.parents.iter().zip(&route.parents) {
            let above = Target {
                resource: kind.resource(),
                parents: parents.clone(),
            };
            parents.push(self.find(&above, key)?);
        }
        Ok(Target {
            resource: route.resource,
            parents,
        })
    }

    /// The id of the object that a path's segment means: its id, a role's label, or `default` for the server.
    fn find(&self, target: &Target, key: &str) -> Result<String, Refusal> {
        let kind = target.kind();
        let mut siblings = self.shelf.children(kind, target.parent());
        let found = siblings.find(|record| {
            record.id == key
                || (kind == Kind::Role && record.name() == key)
                || (kind == Kind::Server && key == "default" && record.is_built_in(kind))
        });
        found
            .map(|record| record.id.clone())
            .ok_or_else(|| Refusal::not_found(key, target.resource.entity))
    }

    /// An object as a GET shows it.
    pub(crate) fn shown(&self, kind: Kind, record: &Record, base_url: &str) -> Value {
        let own = |kind: Kind, record: &Record| {
            if kind == Kind::Server && record.is_built_in(kind) {
                "default".to_owned()
            } else {
                record.id.clone()
            }
        };
        let mut ancestors = Vec::new();
        let mut parent = record.parent.clone();
        for kind in kind.resource().parents.iter().rev() {
            if let Some(above) = self.shelf.get(*kind, &parent) {
                ancestors.insert(0, above.id.clone());
                parent.clone_from(&above.parent);
            }
        }
        let ancestors: Vec<&str> = ancestors.iter().map(String::as_str).collect();
        let own = own(kind, record);
        let path = path_of(kind, &ancestors, &own);
        let mut body = record.body.clone();
        if kind == Kind::Server {
            body.insert(
                "issuer".to_owned(),
                json!(format!("{base_url}/oauth2/{own}")),
            );
        }
        body.insert("_links".to_owned(), links(kind, record, base_url, &path));
        Value::Object(body)
    }

    pub(crate) fn reply(
        &self,
        status: u16,
        request: &Request,
        target: &Target,
        id: &str,
    ) -> Answer {
        let kind = target.kind();
        let record = self
            .shelf
            .get(kind, id)
            .ok_or_else(|| Refusal::not_found(id, target.resource.entity))?;
        let mut reply = Reply::json(status, self.shown(kind, record, &request.base_url));
        if kind == Kind::Role {
            reply.page = Some(PageLinks {
                this: Some(path_of(kind, &[], id)),
                next: None,
                admin_host: true,
            });
        }
        Ok(reply)
    }

    pub(crate) fn create(
        &mut self,
        world: &mut dyn World,
        request: &Request,
        target: &Target,
    ) -> Answer {
        let resource = target.resource;
        self.check_create(request, target)?;
        let mut draft = check::draft(resource, request.body.as_ref())?;
        self.complete(world, request, target, &mut draft, None)?;
        let id = world.new_id(self.prefix(target, &draft));
        draft.insert("id".to_owned(), json!(id));
        stamp(resource, &mut draft, &world.now(), true);
        if resource.lifecycle != Lifecycle::None || resource.kind == Kind::Claim {
            let off = request.param("activate") == Some("false");
            let status = if off { "INACTIVE" } else { "ACTIVE" };
            if off || text(&draft, "status").is_empty() {
                draft.insert("status".to_owned(), json!(status));
            }
        }
        let wanted = draft.get("priority").and_then(Value::as_u64);
        self.shelf.add(resource.kind, target.parent(), draft);
        self.place(resource.kind, &id, wanted);
        self.note(resource.kind, &id, true);
        self.emit(world, resource.kind, &id, resource.events.create);
        self.after_create(world, request, target, &id);
        self.reply(resource.created, request, target, &id)
    }

    fn replace(
        &mut self,
        world: &mut dyn World,
        request: &Request,
        target: &Target,
        id: &str,
    ) -> Answer {
        let draft = check::draft(target.resource, request.body.as_ref())?;
        self.overwrite(world, request, target, id, draft)
    }

    /// A POST on an object lays what it carries over what there is.
    fn update(
        &mut self,
        world: &mut dyn World,
        request: &Request,
        target: &Target,
        id: &str,
    ) -> Answer {
        let patch = check::draft(target.resource, request.body.as_ref())?;
        let before = self.shelf.get(target.kind(), id);
        let whole = before.map(|record| Value::Object(record.body.clone()));
        let mut draft = check::draft(target.resource, whole.as_ref())?;
        merge(&mut draft, &patch);
        self.overwrite(world, request, target, id, draft)
    }

    fn overwrite(
        &mut self,
        world: &mut dyn World,
        request: &Request,
        target: &Target,
        id: &str,
        mut draft: Map<String, Value>,
    ) -> Answer {
        let resource = target.resource;
        let kind = resource.kind;
        self.check_reconciling(kind)?;
        let before = self
            .shelf
            .get(kind, id)
            .cloned()
            .ok_or_else(|| Refusal::not_found(id, resource.entity))?;
        check::immutable(resource, &mut draft, &before)?;
        self.complete(world, request, target, &mut draft, Some(&before))?;
        let wanted = draft
            .remove("priority")
            .and_then(|priority| priority.as_u64());
        for key in CARRIED {
            if let Some(value) = before.body.get(*key)
                && !draft.contains_key(*key)
            {
                draft.insert((*key).to_owned(), value.clone());
            }
        }
        stamp(resource, &mut draft, &world.now(), false);
        if let Some(record) = self.shelf.get_mut(kind, id) {
            record.body = draft;
        }
        if wanted.is_some_and(|wanted| wanted != before.priority()) {
            self.place(kind, id, wanted);
        }
        self.emit(world, kind, id, resource.events.update);
        self.after_replace(world, kind, id, &before);
        self.reply(200, request, target, id)
    }

    fn delete(&mut self, world: &mut dyn World, target: &Target, id: &str) -> Answer {
        let resource = target.resource;
        let kind = resource.kind;
        self.check_reconciling(kind)?;
        let record = self
            .shelf
            .get(kind, id)
            .ok_or_else(|| Refusal::not_found(id, resource.entity))?;
        if record.is_built_in(kind) {
            return Err(read_only());
        }
        if resource.deletion == Deletion::WhenInactive && record.is_active() {
            return Err(Refusal::validation(
                "status",
                "It must be deactivated before it is deleted",
            ));
        }
        self.check_delete(kind, id)?;
        self.emit(world, kind, id, resource.events.delete);
        self.note(kind, id, false);
        let removed = self.shelf.remove(kind, id);
        if let Some(removed) = removed {
            self.after_delete(&removed, kind);
        }
        Ok(Reply::empty(204))
    }

    fn step(
        &mut self,
        world: &mut dyn World,
        request: &Request,
        target: &Target,
        id: &str,
        step: &str,
    ) -> Answer {
        let resource = target.resource;
        let kind = resource.kind;
        self.check_reconciling(kind)?;
        self.check_step(kind, id, step)?;
        let now = world.now();
        let Some(record) = self.shelf.get_mut(kind, id) else {
            return Err(Refusal::not_found(id, resource.entity));
        };
        let event = match step {
            "activate" => {
                record.body.insert("status".to_owned(), json!("ACTIVE"));
                resource.events.activate
            }
            "deactivate" => {
                record.body.insert("status".to_owned(), json!("INACTIVE"));
                resource.events.deactivate
            }
            _ => {
                record
                    .body
                    .insert("verificationStatus".to_owned(), json!("VERIFIED"));
                "event_hook.verified"
            }
        };
        stamp(resource, &mut record.body, &now, false);
        self.emit(world, kind, id, event);
        if resource.lifecycle == Lifecycle::Empty {
            return Ok(Reply::empty(204));
        }
        self.reply(200, request, target, id)
    }

    /// Checks a body and completes it with what the server adds.
    fn complete(
        &self,
        world: &dyn World,
        request: &Request,
        target: &Target,
        draft: &mut Map<String, Value>,
        before: Option<&Record>,
    ) -> Result<(), Refusal> {
        let resource = target.resource;
        check::properties(resource, draft)?;
        let siblings = self
            .shelf
            .children(resource.kind, target.parent())
            .filter(|other| {
                resource.kind != Kind::Policy || text(&other.body, "type") == text(draft, "type")
            });
        let siblings: Vec<&Record> = siblings.collect();
        check::unique(
            resource,
            draft,
            siblings.iter().copied(),
            before.map(|record| record.id.as_str()),
        )?;
        for (path, object_type, id) in check::named(resource, draft) {
            if !self.exists(object_type, id) && !world.exists(object_type, id) {
                return Err(check::dangling(path, id));
            }
        }
        self.prepare(world, request, target, draft, before)
    }

    /// Adds an event about an object; for a rule with its policy as second target.
    pub(crate) fn emit(&self, world: &mut dyn World, kind: Kind, id: &str, event_type: &str) {
        let Some(record) = self.shelf.get(kind, id).filter(|_| !event_type.is_empty()) else {
            return;
        };
        let mut targets = vec![log_target(kind, record)];
        if let Some(parent) = kind.resource().parents.last()
            && let Some(above) = self.shelf.get(*parent, &record.parent)
        {
            targets.push(log_target(*parent, above));
        }
        world.emit(LogEvent {
            event_type: event_type.to_owned(),
            targets,
        });
    }

    /// Remembers that an object came or went.
    pub(crate) fn note(&mut self, kind: Kind, id: &str, created: bool) {
        if let Some(record) = self.shelf.get(kind, id) {
            let object_type = catalogue_type(kind, record);
            self.changes.push(Change {
                object_type,
                id: id.to_owned(),
                created,
            });
        }
    }
}

/// What the server keeps of an object when it is replaced.
const CARRIED: &[&str] = &[
    "id",
    "created",
    "createdBy",
    "status",
    "system",
    "default",
    "priority",
    "verificationStatus",
    "apiResourceId",
    "isCloneable",
];

fn log_target(kind: Kind, record: &Record) -> LogTarget {
    LogTarget {
        id: record.id.clone(),
        kind: kind.resource().target.to_owned(),
        alternate_id: "unknown".to_owned(),
        display_name: record.name().to_owned(),
    }
}

/// Sets the timestamps, to the second as recorded.
pub(crate) fn stamp(resource: &Resource, body: &mut Map<String, Value>, now: &str, created: bool) {
    let seconds = now.get(..19).unwrap_or(now);
    let text = match resource.stamps {
        Stamps::None => return,
        Stamps::Iso => format!("{seconds}.000Z"),
        Stamps::Spaced => format!("{}.0", seconds.replace('T', " ")),
    };
    if created {
        body.insert("created".to_owned(), json!(text));
    }
    body.insert("lastUpdated".to_owned(), json!(text));
}

/// 405 `E0000022`.
pub(crate) fn no_such_method() -> Refusal {
    Refusal {
        status: 405,
        code: "E0000022",
        summary: "The endpoint does not support the provided HTTP method".to_owned(),
        causes: Vec::new(),
    }
}

/// 403 `E0000111`: what is the system's own is neither deleted nor switched off.
pub(crate) fn read_only() -> Refusal {
    Refusal {
        status: 403,
        code: "E0000111",
        summary: "Operation not allowed on a read-only object.".to_owned(),
        causes: Vec::new(),
    }
}
