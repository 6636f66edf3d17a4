//! An org in memory that answers requests, stricter than Okta where a restore could go wrong.
//!
//! Routes come from the catalogue, so that every type is served. A fault can be put on any request:
//! its answer is lost after it was carried out, or it fails before.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use http::Method;
use jiff::{SignedDuration, Timestamp};

use crate::canonical::{Json, canonical};
use crate::catalogue::{self, IdRule, Listing, ObjectType, RestoreClass, UpdateStyle};
use crate::okta::{Call, Causes, OktaApi, OktaError, Reply};
use crate::plan::path::{at, remove, set, steps, text_at};
use crate::plan::{Held, ObjectName, refs, values};

use super::model::Model;

/// What goes wrong with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The process is killed before the request is carried out.
    KilledBefore,
    /// The process is killed after the request was carried out.
    KilledAfter,
    /// The answer to the request is lost, and the client finds out.
    AnswerLost,
}

#[derive(Debug, Clone)]
struct Kept {
    parent: Option<String>,
    json: Json,
}

#[derive(Debug, Default)]
struct Inside {
    objects: BTreeMap<ObjectName, Kept>,
    counter: u64,
    seconds: i64,
    log: usize,
    mails: Vec<String>,
    creations: BTreeMap<String, u64>,
    fault: Option<(usize, Fault)>,
    /// Whether policies and rules have places without gaps, new ones at the end.
    ordered: bool,
}

/// The org.
#[derive(Debug, Default)]
pub(crate) struct Fake {
    inside: Mutex<Inside>,
}

pub(crate) fn kind(name: &str) -> ObjectType {
    name.parse().unwrap()
}

impl Fake {
    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts an object there as it is, with a fresh id; `body` is JSON text.
    pub(crate) fn put(&self, object_type: &str, parent: Option<&str>, body: &str) -> String {
        let mut json = Json::parse(body.as_bytes()).unwrap();
        let mut inside = self.lock();
        inside.make(kind(object_type), parent, &mut json)
    }

    /// Puts a relation there as it is.
    pub(crate) fn put_relation(&self, relation: &str, parent: &str, key: &str, body: &str) {
        let mut json = Json::parse(body.as_bytes()).unwrap();
        set(&mut json, &["id"], Some(Json::String(key.to_owned())));
        let name = ObjectName::new(kind(relation), &format!("{parent}/{key}"));
        self.lock().objects.insert(
            name,
            Kept {
                parent: Some(parent.to_owned()),
                json,
            },
        );
    }

    /// Changes a property of an object behind everyone's back.
    pub(crate) fn change(&self, object_type: &str, id: &str, path: &str, value: &str) {
        let keys: Vec<&str> = path.split('.').collect();
        let mut inside = self.lock();
        let kept = inside
            .objects
            .get_mut(&ObjectName::new(kind(object_type), id))
            .unwrap();
        set(
            &mut kept.json,
            &keys,
            Some(Json::parse(value.as_bytes()).unwrap()),
        );
    }

    /// Deletes an object as an admin would, with what hangs on it.
    pub(crate) fn delete(&self, object_type: &str, id: &str) {
        self.lock().delete(kind(object_type), id);
    }

    /// Deletes an object and takes its id out of every list that names it.
    pub(crate) fn delete_and_forget(&self, object_type: &str, id: &str) {
        let mut inside = self.lock();
        inside.delete(kind(object_type), id);
        for (name, kept) in &mut inside.objects {
            for reference in name.object_type.entry().references {
                let path = steps(reference.path);
                if path.last() == Some(&crate::plan::path::Step::Each) {
                    let holder = path.get(..path.len() - 1).unwrap();
                    crate::plan::path::visit_mut(&mut kept.json, holder, &mut |value| {
                        if let Json::Array(items) = value {
                            items.retain(|item| item.as_str() != Some(id));
                        }
                    });
                }
            }
        }
    }

    pub(crate) fn json(&self, object_type: &str, id: &str) -> Option<Json> {
        self.lock()
            .objects
            .get(&ObjectName::new(kind(object_type), id))
            .map(|kept| kept.json.clone())
    }

    /// The ids of a type's objects.
    pub(crate) fn ids(&self, object_type: &str) -> Vec<String> {
        let wanted = kind(object_type);
        self.lock()
            .objects
            .keys()
            .filter(|name| name.object_type == wanted)
            .map(|name| name.id.clone())
            .collect()
    }

    /// The org as a snapshot would hold it.
    pub(crate) fn model(&self) -> Model {
        let inside = self.lock();
        let objects = inside
            .objects
            .iter()
            .map(|(name, kept)| {
                let body = if name.object_type.entry().bare_relation {
                    Vec::new()
                } else {
                    canonical(name.object_type, &kept.json.to_bytes())
                        .unwrap()
                        .body
                };
                (
                    name.clone(),
                    Held {
                        id: name.id.clone(),
                        parent: kept.parent.clone(),
                        body,
                    },
                )
            })
            .collect();
        Model { objects }
    }

    pub(crate) fn requests(&self) -> usize {
        self.lock().log
    }

    pub(crate) fn mails(&self) -> Vec<String> {
        self.lock().mails.clone()
    }

    /// Lets the request with this number (from 0, counted from now) go wrong.
    pub(crate) fn fault(&self, number: usize, fault: Fault) {
        let mut inside = self.lock();
        let place = inside.log + number;
        inside.fault = Some((place, fault));
    }

    /// From now on policies and rules have places without gaps, and a new one gets the last.
    pub(crate) fn keep_order(&self) {
        self.lock().ordered = true;
    }

    pub(crate) fn later(&self, seconds: i64) {
        self.lock().seconds += seconds;
    }

    /// Every id that an object names and that is not there.
    pub(crate) fn dangling(&self) -> Vec<String> {
        let inside = self.lock();
        let known: std::collections::BTreeSet<&str> =
            inside.objects.keys().map(|name| name.id.as_str()).collect();
        let mut dangling = Vec::new();
        for (name, kept) in &inside.objects {
            for found in refs::find(name.object_type.entry(), &kept.json) {
                if refs::looks_like_id(&found.value) && !known.contains(found.value.as_str()) {
                    dangling.push(format!("{name} names {}", found.value));
                }
            }
        }
        dangling
    }
}

fn refused(status: u16, code: &str, cause: &str) -> OktaError {
    OktaError::Refused {
        status,
        code: code.to_owned(),
        causes: Causes(vec![cause.to_owned()]),
    }
}

fn gone() -> OktaError {
    OktaError::NotFound {
        code: Some("E0000007".to_owned()),
    }
}

/// Whether a path fits a template; gives what stands for `{id}`, `{parent}`, `{target}`.
fn fits(template: &str, path: &str) -> Option<BTreeMap<String, String>> {
    let template = template.split('?').next()?;
    let path = path.split('?').next()?;
    let (wanted, given): (Vec<&str>, Vec<&str>) =
        (template.split('/').collect(), path.split('/').collect());
    if wanted.len() != given.len() {
        return None;
    }
    let mut found = BTreeMap::new();
    for (wanted, given) in wanted.iter().zip(given) {
        if wanted.starts_with('{') {
            let text = percent_encoding::percent_decode_str(given)
                .decode_utf8()
                .ok()?;
            found.insert((*wanted).to_owned(), text.into_owned());
        } else if *wanted != given {
            return None;
        }
    }
    Some(found)
}

impl Inside {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(1_790_000_000 + self.seconds).unwrap()
    }

    fn make(&mut self, object_type: ObjectType, parent: Option<&str>, json: &mut Json) -> String {
        let entry = object_type.entry();
        self.counter += 1;
        let fresh = format!("{}{:017}", &format!("{:0>3}", entry.code), self.counter);
        let id = match entry.id {
            IdRule::Field(field) => {
                let id = text_at(json, field).map_or(fresh, str::to_owned);
                set(json, &[field], Some(Json::String(id.clone())));
                id
            }
            IdRule::Nested(path) => text_at(json, path).unwrap().to_owned(),
            IdRule::UrlTail(field) => {
                set(
                    json,
                    &[field],
                    Some(Json::String(format!("https://org/schemas/{fresh}"))),
                );
                fresh
            }
            IdRule::UrlTailUnderParent(field) => {
                set(
                    json,
                    &[field],
                    Some(Json::String("https://org/schemas/default".to_owned())),
                );
                format!("{}/default", parent.unwrap())
            }
            IdRule::UnderParent(field) => {
                format!("{}/{}", parent.unwrap(), text_at(json, field).unwrap())
            }
            IdRule::Org => "org".to_owned(),
        };
        let now = self.now().strftime("%Y-%m-%dT%H:%M:%S.000Z").to_string();
        if entry.read_only.contains(&"created") {
            set(json, &["created"], Some(Json::String(now)));
        }
        self.objects.insert(
            ObjectName::new(object_type, &id),
            Kept {
                parent: parent.map(str::to_owned),
                json: json.clone(),
            },
        );
        id
    }

    /// Numbers the policies, or the rules of one policy, from 1 on; `moved` goes to the place it asks for.
    fn number(&mut self, object_type: ObjectType, parent: Option<&str>, moved: Option<&str>) {
        if !self.ordered || !object_type.name().contains("policy") {
            return;
        }
        let place = |kept: &Kept| crate::plan::order::priority(&kept.json);
        let mut row: Vec<(i64, ObjectName)> = self
            .objects
            .iter()
            .filter(|(name, kept)| {
                name.object_type == object_type
                    && kept.parent.as_deref() == parent
                    && at(&kept.json, "system").is_none_or(|system| system.to_bytes() != b"true")
            })
            .map(|(name, kept)| (place(kept), name.clone()))
            .collect();
        row.sort();
        if let Some(at) = row
            .iter()
            .position(|(_, name)| Some(name.id.as_str()) == moved)
        {
            let one = row.remove(at);
            let asked = usize::try_from(one.0 - 1).unwrap_or(0);
            row.insert(asked.min(row.len()), one);
        }
        for ((_, name), place) in row.into_iter().zip(1..) {
            let kept = self.objects.get_mut(&name).unwrap();
            set(
                &mut kept.json,
                &["priority"],
                Some(Json::Number(format!("{place}"))),
            );
        }
    }

    fn delete(&mut self, object_type: ObjectType, id: &str) {
        let kept = self.objects.remove(&ObjectName::new(object_type, id));
        if let Some(kept) = kept {
            self.number(object_type, kept.parent.as_deref(), None);
        }
        let hanging: Vec<ObjectName> = self
            .objects
            .iter()
            .filter(|(name, kept)| {
                let below = kept.parent.as_deref() == Some(id);
                let far = name.object_type.entry().class == RestoreClass::Relation
                    && name.id.split_once('/').is_some_and(|(_, key)| key == id);
                let mapping = name.object_type.name() == "profile_mapping"
                    && (text_at(&kept.json, "source.id") == Some(id)
                        || text_at(&kept.json, "target.id") == Some(id));
                below || far || mapping
            })
            .map(|(name, _)| name.clone())
            .collect();
        for name in hanging {
            self.delete(name.object_type, &name.id);
        }
        for (name, kept) in &mut self.objects {
            if name.object_type.name() == "group_rule"
                && kept
                    .json
                    .to_bytes()
                    .windows(id.len())
                    .any(|w| w == id.as_bytes())
            {
                set(
                    &mut kept.json,
                    &["status"],
                    Some(Json::String("INVALID".to_owned())),
                );
            }
        }
    }

    fn handle(&mut self, call: &Call) -> Result<Vec<u8>, OktaError> {
        if call.path.starts_with("/.well-known/") {
            return Ok(b"{}".to_vec());
        }
        let body = call.body.as_ref().map(|body| Json::parse(body).unwrap());
        if let Some(found) = fits("/api/v1/apps/{id}/policies/{target}", &call.path)
            && call.method == Method::PUT
        {
            return self.link(&found);
        }
        for object_type in catalogue::all() {
            if let Some(answer) = self.by_type(object_type, call, body.as_ref()) {
                return answer;
            }
        }
        panic!("no such endpoint: {} {}", call.method, call.path);
    }

    fn link(&mut self, found: &BTreeMap<String, String>) -> Result<Vec<u8>, OktaError> {
        let (app, policy) = (&found["{id}"], &found["{target}"]);
        if !self
            .objects
            .contains_key(&ObjectName::new(kind("policy_access"), policy))
        {
            return Err(gone());
        }
        let kept = self
            .objects
            .get_mut(&ObjectName::new(kind("app"), app))
            .ok_or_else(gone)?;
        let url = format!("https://org/api/v1/policies/{policy}");
        set(
            &mut kept.json,
            &["_links", "accessPolicy", "href"],
            Some(Json::String(url)),
        );
        Ok(Vec::new())
    }

    fn by_type(
        &mut self,
        object_type: ObjectType,
        call: &Call,
        body: Option<&Json>,
    ) -> Option<Result<Vec<u8>, OktaError>> {
        let entry = object_type.entry();
        let path = call.path.as_str();
        let at_path = |template: Option<&str>| template.and_then(|template| fits(template, path));
        let name = |found: &BTreeMap<String, String>| {
            let key = found.get("{id}").cloned().unwrap_or_default();
            let id = match entry.id {
                IdRule::UnderParent(_) => format!("{}/{key}", found["{parent}"]),
                IdRule::UrlTailUnderParent(_) => format!("{}/default", found["{parent}"]),
                _ => key,
            };
            ObjectName::new(object_type, &id)
        };
        match call.method {
            Method::GET => {
                // `/groups/rules` is no group.
                if let Some(found) = at_path(entry.get)
                    && found.get("{id}").is_none_or(|id| id != "rules")
                {
                    let name = name(&found);
                    if object_type.name() == "user" {
                        let by_login = self.objects.iter().find(|(other, kept)| {
                            other.object_type == object_type
                                && text_at(&kept.json, "profile.login") == Some(&name.id)
                        });
                        if let Some((_, kept)) = by_login {
                            return Some(Ok(kept.json.to_bytes()));
                        }
                    }
                    match self.objects.get(&name) {
                        Some(kept) => return Some(Ok(kept.json.to_bytes())),
                        None if entry.name.starts_with("policy_")
                            && entry.name != "policy_rule" => {}
                        None => return Some(Err(gone())),
                    }
                }
                let lists: Vec<&str> = match entry.listing {
                    Listing::Pages(paths) => paths.to_vec(),
                    Listing::PagesThenGet(path) | Listing::UnderParent(path) => vec![path],
                    Listing::OnePerParent { .. } | Listing::Single(_) => vec![],
                };
                for list in lists {
                    let query_of =
                        |path: &str| path.split_once("type=").map(|(_, rest)| rest.to_owned());
                    if let Some(found) = fits(list, path)
                        && (!path.starts_with("/api/v1/policies?")
                            || query_of(list) == query_of(path))
                    {
                        let items: Vec<Json> = self
                            .objects
                            .iter()
                            .filter(|(name, kept)| {
                                name.object_type == object_type
                                    && found
                                        .get("{parent}")
                                        .is_none_or(|parent| kept.parent.as_ref() == Some(parent))
                            })
                            .map(|(_, kept)| kept.json.clone())
                            .collect();
                        let list = Json::Array(items);
                        let answer = match entry.items_property {
                            Some(property) => {
                                Json::Object(BTreeMap::from([(property.to_owned(), list)]))
                            }
                            None => list,
                        };
                        return Some(Ok(answer.to_bytes()));
                    }
                }
                None
            }
            Method::POST => {
                if let Some(lifecycle) = entry.lifecycle {
                    for (verb, template) in [
                        ("ACTIVE", lifecycle.activate),
                        ("INACTIVE", lifecycle.deactivate),
                    ] {
                        if let Some(found) = fits(template, path)
                            && self.objects.contains_key(&name(&found))
                        {
                            return Some(self.lifecycle(&name(&found), verb, call));
                        }
                    }
                    for (verb, template) in [
                        ("SUSPENDED", "/api/v1/users/{id}/lifecycle/suspend"),
                        ("ACTIVE", "/api/v1/users/{id}/lifecycle/unsuspend"),
                    ] {
                        if object_type.name() == "user"
                            && let Some(found) = fits(template, path)
                        {
                            return Some(self.lifecycle(&name(&found), verb, call));
                        }
                    }
                }
                if let Some(found) =
                    at_path(entry.relate.and_then(|relate| relate.strip_prefix("POST ")))
                {
                    return Some(self.relate(
                        object_type,
                        &found["{parent}"],
                        text_at(body.unwrap(), "id").unwrap(),
                        body,
                    ));
                }
                if let Some(found) = at_path(entry.create)
                    && self.accepts(object_type, body)
                {
                    return Some(self.create(
                        object_type,
                        found.get("{parent}").map(String::as_str),
                        body.unwrap(),
                        call,
                    ));
                }
                if let UpdateStyle::Merge(template) = entry.update
                    && let Some(found) = fits(template, path)
                {
                    let name = name(&found);
                    let Some(kept) = self.objects.get_mut(&name) else {
                        return Some(Err(gone()));
                    };
                    for change in values::additions(entry, &kept.json, body.unwrap()) {
                        let keys: Vec<&str> = change.path.iter().map(String::as_str).collect();
                        set(&mut kept.json, &keys, change.to);
                    }
                    return Some(Ok(kept.json.to_bytes()));
                }
                None
            }
            Method::PUT => {
                if let Some(found) =
                    at_path(entry.relate.and_then(|relate| relate.strip_prefix("PUT ")))
                {
                    return Some(self.relate(
                        object_type,
                        &found["{parent}"],
                        &found["{id}"],
                        body,
                    ));
                }
                let UpdateStyle::Replace(template) = entry.update else {
                    return None;
                };
                let found = fits(template, path)?;
                let name = name(&found);
                if entry.name.starts_with("policy_")
                    && entry.name != "policy_rule"
                    && !self.objects.contains_key(&name)
                {
                    return None;
                }
                Some(self.replace(&name, body.unwrap()))
            }
            Method::DELETE => {
                let found = at_path(entry.delete)?;
                let name = name(&found);
                if !self.objects.contains_key(&name) {
                    return (entry.name != "policy_access").then(|| Err(gone()));
                }
                let active = text_at(&self.objects[&name].json, "status") == Some("ACTIVE");
                if entry
                    .lifecycle
                    .is_some_and(|lifecycle| lifecycle.delete_only_inactive)
                    && active
                {
                    return Some(Err(refused(403, "E0000056", "deactivate it first")));
                }
                self.delete(object_type, &name.id);
                Some(Ok(Vec::new()))
            }
            _ => None,
        }
    }

    /// Policies share one path: their type is in the body.
    fn accepts(&self, object_type: ObjectType, body: Option<&Json>) -> bool {
        match object_type.entry().listing {
            Listing::Pages([list]) if list.contains("/policies?type=") => {
                body.and_then(|body| text_at(body, "type"))
                    == list.split_once("type=").map(|(_, kind)| kind)
            }
            _ => true,
        }
    }

    fn create(
        &mut self,
        object_type: ObjectType,
        parent: Option<&str>,
        body: &Json,
        call: &Call,
    ) -> Result<Vec<u8>, OktaError> {
        let entry = object_type.entry();
        for path in entry.read_only {
            assert!(
                at(body, path).is_none(),
                "{path} of {object_type} cannot be written"
            );
        }
        for found in refs::find(entry, body) {
            let known = self.objects.keys().any(|name| name.id == found.value);
            if refs::looks_like_id(&found.value)
                && !known
                && !found.reference.path.starts_with("profile.")
            {
                return Err(refused(400, "E0000001", "refers to nothing"));
            }
        }
        let unique = match entry.name {
            "user" => Some("profile.login"),
            "group" => Some("profile.name"),
            "group_rule" => Some("name"),
            _ => None,
        };
        if let Some(path) = unique
            && self.objects.iter().any(|(name, kept)| {
                name.object_type == object_type && text_at(&kept.json, path) == text_at(body, path)
            })
        {
            return Err(refused(400, "E0000001", "already exists"));
        }
        if object_type.name() == "user" {
            assert!(
                call.path.contains("activate=false"),
                "a new user is not activated: {}",
                call.path
            );
            assert!(
                at(body, "credentials.password").is_none(),
                "no password is sent"
            );
        }
        let mut json = body.clone();
        if let Some(lifecycle) = entry.lifecycle {
            let status = lifecycle.created_as.unwrap_or("ACTIVE");
            set(
                &mut json,
                &[lifecycle.path],
                Some(Json::String(status.to_owned())),
            );
        }
        if object_type.name() == "group" {
            set(
                &mut json,
                &["type"],
                Some(Json::String("OKTA_GROUP".to_owned())),
            );
        }
        if self.ordered && at(&json, "priority").is_some() {
            set(
                &mut json,
                &["priority"],
                Some(Json::Number("9999".to_owned())),
            );
        }
        let id = self.make(object_type, parent, &mut json);
        self.number(object_type, parent, None);
        if let Some(kept) = self.objects.get(&ObjectName::new(object_type, &id)) {
            json = kept.json.clone();
        }
        let key = format!(
            "{object_type}/{}",
            values::name_in(entry, &json).unwrap_or_default()
        );
        *self.creations.entry(key).or_default() += 1;
        match entry.name {
            "policy_access" => {
                let mut rule = Json::parse(br#"{"name":"Catch-all Rule","system":true,"priority":99,"type":"ACCESS_POLICY","status":"ACTIVE","actions":{"appSignOn":{"access":"DENY"}}}"#).unwrap();
                self.make(kind("policy_rule"), Some(&id), &mut rule);
            }
            "app" => {
                let mut schema = Json::parse(
                    br#"{"definitions":{"base":{"properties":{}},"custom":{"properties":{}}}}"#,
                )
                .unwrap();
                self.make(kind("app_user_schema"), Some(&id), &mut schema);
                let user_type = self
                    .objects
                    .keys()
                    .find(|name| name.object_type == kind("user_type"))
                    .cloned();
                if let Some(user_type) = user_type {
                    let text = format!(
                        r#"{{"source":{{"id":"{id}"}},"target":{{"id":"{}"}},"properties":{{}}}}"#,
                        user_type.id
                    );
                    let mut mapping = Json::parse(text.as_bytes()).unwrap();
                    self.make(kind("profile_mapping"), None, &mut mapping);
                }
            }
            _ => {}
        }
        Ok(json.to_bytes())
    }

    fn lifecycle(
        &mut self,
        name: &ObjectName,
        to: &str,
        call: &Call,
    ) -> Result<Vec<u8>, OktaError> {
        let kept = self.objects.get_mut(name).ok_or_else(gone)?;
        let has = text_at(&kept.json, "status").unwrap_or_default().to_owned();
        if name.object_type.name() == "user" {
            if call.path.contains("/activate") {
                if !call.path.contains("sendEmail=false") {
                    self.mails.push(name.id.clone());
                }
                if has == "ACTIVE" {
                    return Err(refused(403, "E0000016", "already active"));
                }
            }
            if to == "SUSPENDED" && has != "ACTIVE" {
                return Err(refused(400, "E0000001", "not active"));
            }
        }
        if has == "INVALID" {
            return Err(refused(400, "E0000001", "invalid rule"));
        }
        set(
            &mut kept.json,
            &["status"],
            Some(Json::String(to.to_owned())),
        );
        Ok(br#"{"activationToken":"secret-token"}"#.to_vec())
    }

    fn relate(
        &mut self,
        relation: ObjectType,
        parent: &str,
        key: &str,
        body: Option<&Json>,
    ) -> Result<Vec<u8>, OktaError> {
        let exists = |id: &str| self.objects.keys().any(|name| name.id == id);
        if !exists(parent) || !exists(key) {
            return Err(gone());
        }
        let name = ObjectName::new(relation, &format!("{parent}/{key}"));
        let mut json = body
            .cloned()
            .unwrap_or_else(|| Json::Object(BTreeMap::new()));
        set(&mut json, &["id"], Some(Json::String(key.to_owned())));
        self.objects.insert(
            name,
            Kept {
                parent: Some(parent.to_owned()),
                json,
            },
        );
        Ok(Vec::new())
    }

    fn replace(&mut self, name: &ObjectName, body: &Json) -> Result<Vec<u8>, OktaError> {
        let entry = name.object_type.entry();
        let kept = self.objects.get_mut(name).ok_or_else(gone)?;
        if entry.name == "group_rule" {
            if text_at(&kept.json, "status") == Some("ACTIVE") {
                return Err(refused(400, "E0000001", "active rules cannot be changed"));
            }
            if at(&kept.json, "actions") != at(body, "actions") {
                return Err(refused(400, "E0000001", "actions cannot be changed"));
            }
        }
        let mut json = body.clone();
        for path in entry.read_only.iter().chain(&["_links"]) {
            remove(&mut json, &steps(path));
            if !path.contains('[')
                && let Some(value) = at(&kept.json, path)
            {
                let keys: Vec<&str> = path.split('.').collect();
                set(&mut json, &keys, Some(value.clone()));
            }
        }
        if let Some(status) = at(&kept.json, "status") {
            set(&mut json, &["status"], Some(status.clone()));
        }
        kept.json = json.clone();
        let parent = kept.parent.clone();
        if at(&json, "system").is_none_or(|system| system.to_bytes() != b"true") {
            self.number(name.object_type, parent.as_deref(), Some(&name.id));
        }
        Ok(self.objects[name].json.to_bytes())
    }
}

impl OktaApi for Fake {
    fn send(&self, call: &Call) -> Result<Reply, OktaError> {
        let mut inside = self.lock();
        let number = inside.log;
        inside.log += 1;
        inside.seconds += 1;
        let fault = inside
            .fault
            .filter(|(place, _)| *place == number)
            .map(|(_, fault)| fault);
        if fault == Some(Fault::KilledBefore) {
            return Err(OktaError::RateLimited);
        }
        let answer = inside.handle(call);
        match fault {
            Some(Fault::KilledAfter) => Err(OktaError::RateLimited),
            Some(Fault::AnswerLost) if !call.safe_to_repeat => Err(OktaError::LostAnswer),
            _ => Ok(Reply {
                status: 200,
                body: answer?,
                next: None,
                date: Some(
                    inside
                        .now()
                        .checked_sub(SignedDuration::from_millis(1))
                        .unwrap(),
                ),
                rate: None,
            }),
        }
    }

    fn base_url(&self) -> &str {
        "https://org"
    }
}

/// A clock that stands still until it is asked to wait.
#[derive(Debug, Default)]
pub(crate) struct StillClock;

impl crate::clock::Clock for StillClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(1_790_000_000).unwrap()
    }

    fn sleep(&self, _duration: std::time::Duration) {}
}
