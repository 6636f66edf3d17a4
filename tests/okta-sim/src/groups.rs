//! Groups and their members.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value, json};

use crate::{
    clock::{push_time, time_text},
    cursor::{PageSizes, Window},
    filter::{Filter, Operator},
    json::{ArrayWriter, push_number, push_string, push_value},
    log::{attribute, target},
    org::Core,
    person::Status,
    response::{Outcome, Response, forbidden, no_such_method, no_such_path, refusal},
    users::{Links, body},
    wire::{LogTarget, Refusal, Request},
};

/// Page sizes of the group list.
const SIZES: PageSizes = PageSizes::new(10_000, 10_000);
/// Page sizes of a group's members.
const MEMBER_SIZES: PageSizes = PageSizes::new(1000, 1000);
/// A rendered user's size in a list, for reserving room.
const USER_BYTES: usize = 1700;
/// What `filter` may name.
const FILTERABLE: &[&str] = &["id", "type", "lastUpdated", "lastMembershipUpdated"];
/// The number of the group that everyone is in.
pub(crate) const EVERYONE: u32 = 0;

/// Where a group comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GroupKind {
    Okta,
    App,
    BuiltIn,
}

impl GroupKind {
    fn text(self) -> &'static str {
        match self {
            Self::Okta => "OKTA_GROUP",
            Self::App => "APP_GROUP",
            Self::BuiltIn => "BUILT_IN",
        }
    }
}

/// One group.
#[derive(Debug, Clone)]
pub(crate) struct Group {
    pub(crate) number: u32,
    pub(crate) kind: GroupKind,
    pub(crate) profile: Map<String, Value>,
    pub(crate) created: i64,
    pub(crate) last_updated: i64,
    pub(crate) membership: MembershipTime,
    /// The app an imported group comes from.
    pub(crate) source: Option<u32>,
    /// The members' numbers, ascending.
    pub(crate) members: Vec<u32>,
    /// When members that joined by a request did so.
    pub(crate) joined: HashMap<u32, i64>,
}

/// `lastMembershipUpdated`, which shows a change only after a while.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MembershipTime {
    shown: i64,
    next: i64,
    next_from: i64,
}

impl MembershipTime {
    /// A settled time.
    pub(crate) fn at(ms: i64) -> Self {
        Self {
            shown: ms,
            next: ms,
            next_from: ms,
        }
    }

    fn touch(&mut self, second: i64, now: i64, delay_ms: i64) {
        if self.next_from <= now {
            self.shown = self.next;
        }
        self.next = second;
        self.next_from = now + delay_ms;
    }

    fn seen(&self, now: i64) -> i64 {
        if self.next_from <= now {
            self.next
        } else {
            self.shown
        }
    }
}

impl Group {
    /// Whether this user is a member.
    pub(crate) fn has(&self, user: u32) -> bool {
        self.members.binary_search(&user).is_ok()
    }

    /// Whether members can be added and removed by hand.
    pub(crate) fn writable(&self) -> bool {
        self.kind == GroupKind::Okta
    }

    /// Its name.
    pub(crate) fn name(&self) -> &str {
        self.profile
            .get("name")
            .and_then(Value::as_str)
            .unwrap_or_default()
    }
}

/// All groups, by number; one that is gone leaves its place empty.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    places: Vec<Option<Group>>,
    /// The order in which lists show them.
    pub(crate) order: Vec<u32>,
}

impl Groups {
    /// The group with this number.
    pub(crate) fn get(&self, n: u32) -> Option<&Group> {
        self.places.get(n as usize)?.as_ref()
    }

    /// The group with this number, to change it.
    pub(crate) fn get_mut(&mut self, n: u32) -> Option<&mut Group> {
        self.places.get_mut(n as usize)?.as_mut()
    }

    /// All that are there, by number.
    pub(crate) fn all(&self) -> impl Iterator<Item = (u32, &Group)> {
        self.places
            .iter()
            .flatten()
            .map(|group| (group.number, group))
    }

    /// The number the next group gets.
    pub(crate) fn next_number(&self) -> u32 {
        u32::try_from(self.places.len()).unwrap_or(u32::MAX)
    }

    /// Adds a group, whose number must be the next.
    pub(crate) fn add(&mut self, group: Group) {
        self.order.push(group.number);
        self.places.push(Some(group));
    }

    fn remove(&mut self, n: u32) -> Option<Group> {
        self.places.get_mut(n as usize)?.take()
    }
}

/// Answers `/api/v1/groups` and what is below it, but for rules; `path` starts after `groups`.
pub(crate) fn route(core: &mut Core, request: &Request, path: &[&str]) -> Outcome {
    match (request.method.as_str(), path) {
        ("GET", []) => list(core, request),
        ("POST", []) => create(core, request),
        ("GET", [id]) => {
            let n = found(core, id)?;
            Ok(Response::text(200, single(core, request, n)))
        }
        ("PUT", [id]) => {
            let n = found(core, id)?;
            replace(core, request, n)
        }
        ("DELETE", [id]) => {
            let n = found(core, id)?;
            delete(core, n)
        }
        ("GET", [id, "users"]) => {
            let n = found(core, id)?;
            members(core, request, n)
        }
        ("GET", [id, "apps"]) => {
            let n = found(core, id)?;
            core.apps_of_group(request, n)
        }
        ("PUT" | "DELETE", [id, "users", user]) => {
            let n = found(core, id)?;
            let user = core
                .find_user(user)
                .ok_or_else(|| Refusal::not_found(user, "User"))?;
            if !core.groups.get(n).is_some_and(Group::writable) {
                return Err(refusal(501, "E0000060", "Unsupported operation."));
            }
            if request.method == http::Method::PUT {
                if core
                    .users
                    .get(user)
                    .is_some_and(|user| user.status() == Status::Deprovisioned)
                {
                    // Assumed: a deactivated user cannot be put into a group.
                    return Err(refusal(
                        403,
                        "E0000038",
                        "This operation is not allowed in the user's current status.",
                    ));
                }
                core.join(n, user);
            } else {
                core.exclude_from_rules(n, user);
                core.leave(n, user);
            }
            Ok(Response::empty(204))
        }
        (_, [] | [_] | [_, "users" | "apps"] | [_, "users", _]) => Err(no_such_method()),
        _ => Err(no_such_path()),
    }
}

fn found(core: &Core, id: &str) -> Result<u32, Refusal> {
    core.find_group(id)
        .ok_or_else(|| Refusal::not_found(id, "UserGroup"))
}

fn single(core: &Core, request: &Request, n: u32) -> String {
    let mut out = String::with_capacity(1200);
    if let Some(group) = core.groups.get(n) {
        core.push_group(&mut out, group, &request.base_url, false);
    }
    out
}

fn list(core: &Core, request: &Request) -> Outcome {
    let filter = match (request.param("filter"), request.param("search")) {
        (Some(_), Some(_)) => {
            return Err(refusal(
                400,
                "E0000033",
                "Invalid search request: 'filter' and 'search' cannot be used together",
            ));
        }
        (Some(text), None) => Some(parse_filter(text)?),
        (None, Some(text)) => Some(
            Filter::parse(text)
                .ok_or_else(|| refusal(400, "E0000031", "Invalid search criteria."))?,
        ),
        (None, None) => None,
    };
    let stats = match request.param("expand") {
        None => false,
        Some(expand) => expand.split(',').any(|word| word == "stats"),
    };
    let prefix = request.param("q").map(str::to_lowercase);
    let window = Window::read(core, request, SIZES)?;
    let start = usize::try_from(window.start).unwrap_or(usize::MAX);
    let mut array = ArrayWriter::with_room(4096);
    let mut count = 0;
    let mut next = None;
    for (place, n) in core.groups.order.iter().enumerate().skip(start) {
        let Some(group) = core.groups.get(*n) else {
            continue;
        };
        let wanted = filter
            .as_ref()
            .is_none_or(|f| f.holds(&|name: &str| core.group_attribute(group, name)))
            && prefix
                .as_ref()
                .is_none_or(|q| group.name().to_lowercase().starts_with(q));
        if !wanted {
            continue;
        }
        if count == window.limit {
            next = Some(place as u64);
            break;
        }
        core.push_group(array.item(), group, &request.base_url, stats);
        count += 1;
    }
    Ok(Response::list(
        array.finish(),
        window.page(core, request, next),
    ))
}

fn parse_filter(text: &str) -> Result<Filter, Refusal> {
    let bad = || refusal(400, "E0000053", "Invalid filter");
    let filter = Filter::parse(text).ok_or_else(bad)?;
    let legal = filter.comparisons().iter().all(|(name, operator)| {
        FILTERABLE.contains(name)
            && (name.starts_with("last") || *operator == Some(Operator::Equal))
            && !matches!(
                operator,
                None | Some(Operator::Contains | Operator::StartsWith)
            )
    });
    if legal { Ok(filter) } else { Err(bad()) }
}

fn members(core: &Core, request: &Request, n: u32) -> Outcome {
    let window = Window::read(core, request, MEMBER_SIZES)?;
    let Some(group) = core.groups.get(n) else {
        return Err(no_such_path());
    };
    let first = group
        .members
        .partition_point(|user| u64::from(*user) < window.start);
    let rest = group.members.get(first..).unwrap_or_default();
    let mut array = ArrayWriter::with_room(rest.len().min(window.limit) * USER_BYTES);
    for user in rest
        .iter()
        .take(window.limit)
        .filter_map(|user| core.users.get(*user))
    {
        core.push_user(array.item(), user, &request.base_url, Links::List);
    }
    let next = rest.get(window.limit).map(|user| u64::from(*user));
    Ok(Response::list(
        array.finish(),
        window.page(core, request, next),
    ))
}

fn create(core: &mut Core, request: &Request) -> Outcome {
    let profile = profile_of(core, request, None)?;
    let now = core.clock.second();
    let n = core.groups.next_number();
    core.groups.add(Group {
        number: n,
        kind: GroupKind::Okta,
        profile,
        created: now,
        last_updated: now,
        membership: MembershipTime::at(now),
        source: None,
        members: Vec::new(),
        joined: HashMap::new(),
    });
    let subject = core.group_target(n);
    core.emit_event("group.lifecycle.create", vec![subject]);
    Ok(Response::text(200, single(core, request, n)))
}

fn replace(core: &mut Core, request: &Request, n: u32) -> Outcome {
    if !core.groups.get(n).is_some_and(Group::writable) {
        return Err(refusal(403, "E0000078", "This group cannot be modified."));
    }
    let profile = profile_of(core, request, Some(n))?;
    let now = core.clock.second();
    if let Some(group) = core.groups.get_mut(n) {
        group.profile = profile;
        group.last_updated = now;
    }
    let subject = core.group_target(n);
    core.emit_event("group.profile.update", vec![subject]);
    Ok(Response::text(200, single(core, request, n)))
}

fn delete(core: &mut Core, n: u32) -> Outcome {
    if core
        .groups
        .get(n)
        .is_some_and(|group| group.kind == GroupKind::BuiltIn)
    {
        return Err(forbidden());
    }
    let subject = core.group_target(n);
    core.unassign_group_everywhere(n);
    core.groups.remove(n);
    core.invalidate_rules(n);
    core.emit_event("group.lifecycle.delete", vec![subject]);
    Ok(Response::empty(204))
}

fn profile_of(
    core: &Core,
    request: &Request,
    of: Option<u32>,
) -> Result<Map<String, Value>, Refusal> {
    let body = body(request)?;
    let mut profile = body
        .get("profile")
        .and_then(Value::as_object)
        .cloned()
        .ok_or_else(|| Refusal::validation("profile", "The field cannot be left blank"))?;
    core.schemas.check_group(&mut profile)?;
    let name = profile
        .get("name")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let taken = core.groups.all().any(|(n, group)| {
        Some(n) != of && group.kind == GroupKind::Okta && group.name().eq_ignore_ascii_case(name)
    });
    if taken {
        return Err(Refusal::validation(
            "name",
            "An object with this field already exists in the current organization",
        ));
    }
    Ok(profile)
}

impl Core {
    /// The number of the group with this id, if it is there.
    pub(crate) fn find_group(&self, id: &str) -> Option<u32> {
        let n = self.ids.ordinal("00g", id)?;
        self.groups.get(n).map(|_| n)
    }

    /// A group's id.
    pub(crate) fn group_id(&self, n: u32) -> String {
        self.ids.text("00g", u64::from(n))
    }

    /// A group as an event's target.
    pub(crate) fn group_target(&self, n: u32) -> LogTarget {
        let name = self
            .groups
            .get(n)
            .map(|group| group.name().to_owned())
            .unwrap_or_default();
        target("UserGroup", &self.group_id(n), &name)
    }

    /// Makes a user a member; nothing happens if it is one.
    pub(crate) fn join(&mut self, n: u32, user: u32) {
        let (second, now, delay) = (
            self.clock.second(),
            self.clock.now(),
            self.membership_delay_ms,
        );
        let before = self.app_scopes_of(user, n);
        let Some(group) = self.groups.get_mut(n) else {
            return;
        };
        let Err(at) = group.members.binary_search(&user) else {
            return;
        };
        group.members.insert(at, user);
        group.joined.insert(user, second);
        group.membership.touch(second, now, delay);
        let targets = vec![self.user_target(user), self.group_target(n)];
        self.emit_event("group.user_membership.add", targets);
        self.tell_app_changes(user, &before);
        self.follow_membership(n, user);
    }

    /// Ends a membership; nothing happens if there is none.
    pub(crate) fn leave(&mut self, n: u32, user: u32) {
        let (second, now, delay) = (
            self.clock.second(),
            self.clock.now(),
            self.membership_delay_ms,
        );
        let before = self.app_scopes_of(user, n);
        let Some(group) = self.groups.get_mut(n) else {
            return;
        };
        let Ok(at) = group.members.binary_search(&user) else {
            return;
        };
        group.members.remove(at);
        group.joined.remove(&user);
        group.membership.touch(second, now, delay);
        let targets = vec![self.user_target(user), self.group_target(n)];
        self.emit_event("group.user_membership.remove", targets);
        self.tell_app_changes(user, &before);
        self.follow_membership(n, user);
    }

    /// Everyone is in Everyone; no event says so.
    pub(crate) fn enter_everyone(&mut self, user: u32) {
        if let Some(group) = self.groups.get_mut(EVERYONE)
            && let Err(at) = group.members.binary_search(&user)
        {
            group.members.insert(at, user);
        }
    }

    /// Ends all memberships and assignments of a user that is deactivated.
    pub(crate) fn leave_everything(&mut self, user: u32) {
        self.unassign_user_everywhere(user);
        let groups: Vec<u32> = self
            .groups
            .all()
            .filter(|(_, group)| group.has(user))
            .map(|(n, _)| n)
            .collect();
        for n in groups {
            if n == EVERYONE {
                if let Some(group) = self.groups.get_mut(n) {
                    group.members.retain(|member| *member != user);
                }
            } else {
                self.leave(n, user);
            }
        }
        self.forget_rule_members(user);
    }

    /// Appends a group as JSON.
    pub(crate) fn push_group(&self, out: &mut String, group: &Group, base: &str, stats: bool) {
        out.push_str("{\"id\":\"");
        self.ids.push(out, "00g", u64::from(group.number));
        out.push_str("\",\"created\":\"");
        push_time(out, group.created);
        out.push_str("\",\"lastUpdated\":\"");
        push_time(out, group.last_updated);
        out.push_str("\",\"lastMembershipUpdated\":\"");
        push_time(out, group.membership.seen(self.clock.now()));
        out.push_str("\",\"objectClass\":[");
        push_string(
            out,
            if group.kind == GroupKind::App {
                "okta:windows_security_principal"
            } else {
                "okta:user_group"
            },
        );
        out.push_str("],\"type\":\"");
        out.push_str(group.kind.text());
        out.push_str("\",\"profile\":");
        push_value(out, &Value::Object(group.profile.clone()));
        if let Some(app) = group.source {
            out.push_str(",\"source\":{\"id\":\"");
            self.ids.push(out, "0oa", u64::from(app));
            out.push_str("\"}");
        }
        if stats {
            self.push_stats(out, group, base);
        }
        out.push_str(",\"_links\":{");
        push_logos(out);
        for rel in ["owners", "users", "apps"] {
            out.push_str(",\"");
            out.push_str(rel);
            out.push_str("\":{\"href\":\"");
            out.push_str(base);
            out.push_str("/api/v1/groups/");
            self.ids.push(out, "00g", u64::from(group.number));
            out.push('/');
            out.push_str(rel);
            out.push_str("\"}");
        }
        if let Some(app) = group.source {
            out.push_str(",\"source\":{\"href\":\"");
            out.push_str(base);
            out.push_str("/api/v1/apps/");
            self.ids.push(out, "0oa", u64::from(app));
            out.push_str("\"}");
        }
        out.push_str("}}");
    }

    fn push_stats(&self, out: &mut String, group: &Group, base: &str) {
        let apps = self
            .apps
            .all()
            .filter(|(_, app)| app.groups.contains_key(&group.number))
            .count();
        out.push_str(",\"_embedded\":{\"stats\":{\"usersCount\":");
        push_number(out, group.members.len() as u64);
        out.push_str(",\"appsCount\":");
        push_number(out, apps as u64);
        out.push_str(",\"groupPushMappingsCount\":0,\"hasAdminPrivilege\":false,\"_links\":{\"users\":{\"href\":\"");
        out.push_str(base);
        out.push_str("/api/v1/groups/");
        self.ids.push(out, "00g", u64::from(group.number));
        out.push_str("/users\"}}}}");
    }

    fn group_attribute(&self, group: &Group, name: &str) -> Vec<String> {
        match name {
            "id" => vec![self.group_id(group.number)],
            "type" => vec![group.kind.text().to_owned()],
            "created" => vec![time_text(group.created)],
            "lastUpdated" => vec![time_text(group.last_updated)],
            "lastMembershipUpdated" => vec![time_text(group.membership.seen(self.clock.now()))],
            "source.id" => group
                .source
                .map(|app| self.app_id(app))
                .into_iter()
                .collect(),
            other => match other.strip_prefix("profile.") {
                Some(_) => attribute(&json!({"profile": group.profile}), other),
                None => Vec::new(),
            },
        }
    }

    /// Every group, by id.
    pub(crate) fn dump_groups(&self, base: &str) -> BTreeMap<String, Value> {
        self.groups
            .all()
            .map(|(n, group)| {
                let mut out = String::new();
                self.push_group(&mut out, group, base, false);
                (
                    self.group_id(n),
                    serde_json::from_str(&out).unwrap_or_default(),
                )
            })
            .collect()
    }

    /// Every membership but Everyone's, by `GROUP/USER`.
    pub(crate) fn dump_members(&self, _base: &str) -> BTreeMap<String, Value> {
        let mut all = BTreeMap::new();
        for (n, group) in self.groups.all().filter(|(n, _)| *n != EVERYONE) {
            let group_id = self.group_id(n);
            for user in &group.members {
                let user_id = self.user_id(*user);
                all.insert(format!("{group_id}/{user_id}"), json!({"id": user_id}));
            }
        }
        all
    }
}

fn push_logos(out: &mut String) {
    out.push_str(
        "\"logo\":[{\"name\":\"medium\",\"href\":\"https://static.oktacdn.example/assets/img/logos/groups/odyssey/okta-medium.png\",\"type\":\"image/png\"},\
         {\"name\":\"large\",\"href\":\"https://static.oktacdn.example/assets/img/logos/groups/odyssey/okta-large.png\",\"type\":\"image/png\"}]",
    );
}
