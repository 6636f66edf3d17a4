//! Who may use which app: groups, users one by one, and users through their groups.
//!
//! A user's assignment through groups is not stored: it follows from the app's groups and their
//! members, and is merged with the direct ones when it is listed.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::{
    apps::{self, App},
    clock::{push_time, time_text},
    cursor::{PageSizes, Window},
    json::{ArrayWriter, push_string, push_value},
    log::target,
    org::Core,
    person::Status,
    response::{Outcome, Response, no_such_method, no_such_path, refusal},
    users::{UserRef, body},
    wire::{LogTarget, Refusal, Request},
};

/// Page sizes of an app's users.
const USER_SIZES: PageSizes = PageSizes::new(50, 500);
/// Page sizes of an app's groups.
const GROUP_SIZES: PageSizes = PageSizes {
    default: 20,
    max: 200,
    min: 20,
};

/// A group's assignment to an app.
#[derive(Debug, Clone)]
pub(crate) struct AppGroup {
    pub(crate) priority: u64,
    pub(crate) profile: Map<String, Value>,
    pub(crate) last_updated: i64,
    /// When it was assigned.
    pub(crate) since: i64,
}

/// What was written about a user's assignment.
#[derive(Debug, Clone)]
pub(crate) struct AppUser {
    pub(crate) created: i64,
    pub(crate) last_updated: i64,
    pub(crate) user_name: Option<String>,
    pub(crate) profile: Map<String, Value>,
}

/// How a user came to an app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Assigned one by one.
    User,
    /// Through this group.
    Group(u32),
}

/// Answers `/api/v1/apps` and what is below it, but for policies; `path` starts after `apps`.
pub(crate) fn route(core: &mut Core, request: &Request, path: &[&str]) -> Outcome {
    let Some((id, rest)) = path.split_first() else {
        return match request.method.as_str() {
            "GET" => apps::list(core, request),
            "POST" => apps::create(core, request),
            _ => Err(no_such_method()),
        };
    };
    let n = core
        .find_app(id)
        .ok_or_else(|| Refusal::not_found(id, "AppInstance"))?;
    match (request.method.as_str(), rest) {
        ("GET", []) => Ok(Response::json(200, &apps::single(core, request, n)?)),
        ("PUT", []) => apps::replace(core, request, n),
        ("DELETE", []) => apps::delete(core, n),
        ("POST", ["lifecycle", verb]) => apps::act(core, n, verb),
        ("GET", ["users"]) => list_users(core, request, n),
        ("POST", ["users"]) => assign_user(core, request, n),
        (method, ["users", user]) => {
            let user = core
                .find_user(user)
                .ok_or_else(|| Refusal::not_found(user, "AppUser"))?;
            match method {
                "GET" => get_user(core, request, n, user),
                "POST" => update_user(core, request, n, user),
                "DELETE" => unassign_user(core, n, user),
                _ => Err(no_such_method()),
            }
        }
        ("GET", ["groups"]) => list_groups(core, request, n),
        (method, ["groups", group]) => {
            let group = core
                .find_group(group)
                .ok_or_else(|| Refusal::not_found(group, "UserGroup"))?;
            match method {
                "GET" => get_group(core, request, n, group),
                "PUT" => assign_group(core, request, n, group),
                "DELETE" => unassign_group(core, n, group),
                _ => Err(no_such_method()),
            }
        }
        (_, [] | ["users" | "groups"] | ["lifecycle", _]) => Err(no_such_method()),
        _ => Err(no_such_path()),
    }
}

fn list_users(core: &Core, request: &Request, n: u32) -> Outcome {
    let window = Window::read(core, request, USER_SIZES)?;
    let Some(app) = core.apps.get(n) else {
        return Err(no_such_path());
    };
    let prefix = request.param("q").map(str::to_lowercase);
    let start = u32::try_from(window.start).unwrap_or(u32::MAX);
    let mut array = ArrayWriter::with_room(window.limit * 1100);
    let mut count = 0;
    let mut next = None;
    for (user, scope) in Merged::new(core, app, start) {
        let Some(found) = core.users.get(user) else {
            continue;
        };
        if let Some(q) = &prefix
            && !core.app_user_name(app, found).to_lowercase().starts_with(q)
        {
            continue;
        }
        if count == window.limit {
            next = Some(u64::from(user));
            break;
        }
        core.push_app_user(array.item(), app, found, scope, &request.base_url);
        count += 1;
    }
    Ok(Response::list(
        array.finish(),
        window.page(core, request, next),
    ))
}

/// An app's users, ascending: the direct ones merged with the members of its groups.
struct Merged<'a> {
    direct: &'a [u32],
    /// Group number, its priority, its members from here on.
    groups: Vec<(u32, u64, &'a [u32])>,
}

impl<'a> Merged<'a> {
    fn new(core: &'a Core, app: &'a App, start: u32) -> Self {
        let from = |all: &'a [u32]| {
            all.get(all.partition_point(|n| *n < start)..)
                .unwrap_or_default()
        };
        let groups = app
            .groups
            .iter()
            .filter(|_| app.active)
            .filter_map(|(n, link)| {
                core.groups
                    .get(*n)
                    .map(|group| (*n, link.priority, from(&group.members)))
            })
            .collect();
        Self {
            direct: from(&app.direct),
            groups,
        }
    }
}

impl Iterator for Merged<'_> {
    type Item = (u32, Scope);

    fn next(&mut self) -> Option<Self::Item> {
        let heads = self.groups.iter().filter_map(|(_, _, rest)| rest.first());
        let least = heads.chain(self.direct.first()).min().copied()?;
        let mut scope = None;
        for (group, priority, rest) in &mut self.groups {
            if let Some((head, tail)) = rest.split_first()
                && *head == least
            {
                *rest = tail;
                if scope.is_none_or(|(best, _)| *priority < best) {
                    scope = Some((*priority, *group));
                }
            }
        }
        let mut found = scope.map(|(_, group)| Scope::Group(group));
        if let Some((head, tail)) = self.direct.split_first()
            && *head == least
        {
            self.direct = tail;
            found = Some(Scope::User);
        }
        found.map(|scope| (least, scope))
    }
}

fn get_user(core: &Core, request: &Request, n: u32, user: u32) -> Outcome {
    Ok(Response::text(200, app_user_text(core, request, n, user)?))
}

fn app_user_text(core: &Core, request: &Request, n: u32, user: u32) -> Result<String, Refusal> {
    let missing = || Refusal::not_found(&core.user_id(user), "AppUser");
    let app = core.apps.get(n).ok_or_else(missing)?;
    let scope = core.app_scope(app, user).ok_or_else(missing)?;
    let found = core.users.get(user).ok_or_else(missing)?;
    let mut out = String::with_capacity(1100);
    core.push_app_user(&mut out, app, found, scope, &request.base_url);
    Ok(out)
}

fn assign_user(core: &mut Core, request: &Request, n: u32) -> Outcome {
    let body = body(request)?;
    let id = body.get("id").and_then(Value::as_str).unwrap_or_default();
    let user = core
        .find_user(id)
        .ok_or_else(|| Refusal::not_found(id, "User"))?;
    if let Some(scope) = body.get("scope")
        && scope != "USER"
    {
        return Err(Refusal::validation(
            "scope",
            "Only scope USER can be assigned.",
        ));
    }
    let status = core.users.get(user).map(|found| found.status());
    if matches!(status, Some(Status::Deprovisioned)) {
        return Err(refusal(
            403,
            "E0000117",
            "Cannot assign apps to an inactive user.",
        ));
    }
    let app = core.apps.get(n).ok_or_else(no_such_path)?;
    if app.direct.binary_search(&user).is_ok() {
        return Err(refusal(
            409,
            "E0000062",
            "The given app user is already assigned to this application.",
        ));
    }
    let known = core.app_scope(app, user).is_some();
    write_app_user(core, n, user, body)?;
    let app = core.apps.get_mut(n).ok_or_else(no_such_path)?;
    if let Err(at) = app.direct.binary_search(&user) {
        app.direct.insert(at, user);
    }
    core.app_user_event(
        if known {
            "application.user_membership.update"
        } else {
            "application.user_membership.add"
        },
        n,
        user,
    );
    get_user(core, request, n, user)
}

fn update_user(core: &mut Core, request: &Request, n: u32, user: u32) -> Outcome {
    let body = body(request)?;
    let app = core.apps.get(n).ok_or_else(no_such_path)?;
    let scope = core
        .app_scope(app, user)
        .ok_or_else(|| Refusal::not_found(&core.user_id(user), "AppUser"))?;
    write_app_user(core, n, user, body)?;
    let turned = match (scope, body.get("scope").and_then(Value::as_str)) {
        (Scope::Group(_), Some("USER")) => true,
        (Scope::User, Some("GROUP")) => {
            // Assumed: an assignment can be handed to a group only if one gives it.
            let app = core.apps.get_mut(n).ok_or_else(no_such_path)?;
            app.direct.retain(|member| *member != user);
            false
        }
        _ => false,
    };
    if turned
        && let Some(app) = core.apps.get_mut(n)
        && let Err(at) = app.direct.binary_search(&user)
    {
        app.direct.insert(at, user);
    }
    core.app_user_event("application.user_membership.update", n, user);
    get_user(core, request, n, user)
}

/// Checks and keeps what a request says about an assignment.
fn write_app_user(
    core: &mut Core,
    n: u32,
    user: u32,
    body: &Map<String, Value>,
) -> Result<(), Refusal> {
    let now = core.clock.second();
    let app = core.apps.get(n).ok_or_else(no_such_path)?;
    let found = core.users.get(user).ok_or_else(no_such_path)?;
    let old = core.app_user_now(app, found);
    let mut profile = old.profile;
    if let Some(given) = body.get("profile").and_then(Value::as_object) {
        core.schemas.check_app_user(n, app, given)?;
        profile.extend(given.clone());
    }
    let user_name = body
        .get("credentials")
        .and_then(|credentials| credentials.get("userName"))
        .and_then(Value::as_str)
        .map(str::to_owned)
        .or(old.user_name);
    let kept = AppUser {
        created: old.created.unwrap_or(now),
        last_updated: now,
        user_name,
        profile,
    };
    if let Some(app) = core.apps.get_mut(n) {
        app.written.insert(user, kept);
    }
    Ok(())
}

fn unassign_user(core: &mut Core, n: u32, user: u32) -> Outcome {
    let missing = Refusal::not_found(&core.user_id(user), "AppUser");
    let Some(app) = core.apps.get(n) else {
        return Err(missing);
    };
    match core.app_scope(app, user) {
        None => Err(missing),
        // Assumed: what a group gives can be taken only from the group.
        Some(Scope::Group(_)) => Err(refusal(
            403,
            "E0000084",
            "The assignment comes from a group and cannot be removed here.",
        )),
        Some(Scope::User) => {
            if let Some(app) = core.apps.get_mut(n) {
                app.direct.retain(|member| *member != user);
                app.written.remove(&user);
            }
            core.app_user_event("application.user_membership.remove", n, user);
            Ok(Response::empty(204))
        }
    }
}

fn list_groups(core: &Core, request: &Request, n: u32) -> Outcome {
    let window = Window::read(core, request, GROUP_SIZES)?;
    let Some(app) = core.apps.get(n) else {
        return Err(no_such_path());
    };
    let start = u32::try_from(window.start).unwrap_or(u32::MAX);
    let mut array = ArrayWriter::with_room(4096);
    let mut last = None;
    let mut count = 0;
    for (group, link) in app.groups.range(start..).take(window.limit) {
        push_value(
            array.item(),
            &core.app_group_value(app, *group, link, &request.base_url),
        );
        last = Some(*group);
        count += 1;
    }
    // As recorded elsewhere: a full page has a `next`, though the page after it may be empty.
    let next = last
        .filter(|_| count == window.limit)
        .map(|group| u64::from(group) + 1);
    Ok(Response::list(
        array.finish(),
        window.page(core, request, next),
    ))
}

fn get_group(core: &Core, request: &Request, n: u32, group: u32) -> Outcome {
    let missing = || Refusal::not_found(&core.group_id(group), "ApplicationGroupAssignment");
    let app = core.apps.get(n).ok_or_else(missing)?;
    let link = app.groups.get(&group).ok_or_else(missing)?;
    Ok(Response::json(
        200,
        &core.app_group_value(app, group, link, &request.base_url),
    ))
}

fn assign_group(core: &mut Core, request: &Request, n: u32, group: u32) -> Outcome {
    let empty = Map::new();
    let body = request
        .body
        .as_ref()
        .and_then(Value::as_object)
        .unwrap_or(&empty);
    let now = core.clock.second();
    let app = core.apps.get(n).ok_or_else(no_such_path)?;
    let profile = body
        .get("profile")
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default();
    core.schemas.check_app_user(n, app, &profile)?;
    let old = app.groups.get(&group).cloned();
    let highest = app
        .groups
        .values()
        .map(|link| link.priority + 1)
        .max()
        .unwrap_or(0);
    let priority = body
        .get("priority")
        .and_then(Value::as_u64)
        .or_else(|| old.as_ref().map(|link| link.priority))
        .unwrap_or(highest);
    let since = old.as_ref().map_or(now, |link| link.since);
    let news = AppGroup {
        priority,
        profile,
        last_updated: now,
        since,
    };
    let before = core.app_members(n, group);
    if let Some(app) = core.apps.get_mut(n) {
        app.groups.insert(group, news);
    }
    let event = if old.is_some() {
        "group.application_assignment.update"
    } else {
        "group.application_assignment.add"
    };
    let targets = vec![core.group_target(group), core.app_target(n)];
    core.emit_event(event, targets);
    core.tell_group_changes(n, group, &before);
    get_group(core, request, n, group)
}

fn unassign_group(core: &mut Core, n: u32, group: u32) -> Outcome {
    let missing = Refusal::not_found(&core.group_id(group), "ApplicationGroupAssignment");
    if !core
        .apps
        .get(n)
        .is_some_and(|app| app.groups.contains_key(&group))
    {
        return Err(missing);
    }
    core.drop_app_group(n, group);
    Ok(Response::empty(204))
}

/// What an assignment shows now.
struct Shown {
    created: Option<i64>,
    user_name: Option<String>,
    profile: Map<String, Value>,
}

impl Core {
    /// How a user came to an app; `None` if it did not.
    pub(crate) fn app_scope(&self, app: &App, user: u32) -> Option<Scope> {
        if app.direct.binary_search(&user).is_ok() {
            return Some(Scope::User);
        }
        if !app.active {
            return None;
        }
        app.groups
            .iter()
            .filter(|(n, _)| self.groups.get(**n).is_some_and(|group| group.has(user)))
            .min_by_key(|(_, link)| link.priority)
            .map(|(n, _)| Scope::Group(*n))
    }

    /// The numbers of an app's users.
    pub(crate) fn app_user_numbers(&self, app: &App) -> Vec<u32> {
        Merged::new(self, app, 0).map(|(n, _)| n).collect()
    }

    /// How many users an app has.
    pub(crate) fn count_app_users(&self, app: &App) -> usize {
        Merged::new(self, app, 0).count()
    }

    /// The apps that `group` is assigned to, with how `user` stands to each before a change.
    pub(crate) fn app_scopes_of(&self, user: u32, group: u32) -> Vec<(u32, bool)> {
        self.apps
            .all()
            .filter(|(_, app)| app.groups.contains_key(&group))
            .map(|(n, app)| (n, self.app_scope(app, user).is_some()))
            .collect()
    }

    /// Adds the events of assignments that a membership change made or ended.
    pub(crate) fn tell_app_changes(&mut self, user: u32, before: &[(u32, bool)]) {
        for (n, was) in before {
            let is = self
                .apps
                .get(*n)
                .is_some_and(|app| self.app_scope(app, user).is_some());
            self.tell_app_change(*n, user, *was, is);
        }
    }

    fn tell_app_change(&mut self, n: u32, user: u32, was: bool, is: bool) {
        if was == is {
            return;
        }
        if !is && let Some(app) = self.apps.get_mut(n) {
            app.written.remove(&user);
        }
        let event = if is {
            "application.user_membership.add"
        } else {
            "application.user_membership.remove"
        };
        self.app_user_event(event, n, user);
    }

    /// The members of a group, with how each stands to an app before a change.
    fn app_members(&self, n: u32, group: u32) -> Vec<(u32, bool)> {
        let (Some(app), Some(group)) = (self.apps.get(n), self.groups.get(group)) else {
            return Vec::new();
        };
        group
            .members
            .iter()
            .map(|user| (*user, self.app_scope(app, *user).is_some()))
            .collect()
    }

    fn tell_group_changes(&mut self, n: u32, _group: u32, before: &[(u32, bool)]) {
        for (user, was) in before {
            let is = self
                .apps
                .get(n)
                .is_some_and(|app| self.app_scope(app, *user).is_some());
            self.tell_app_change(n, *user, *was, is);
        }
    }

    fn drop_app_group(&mut self, n: u32, group: u32) {
        let before = self.app_members(n, group);
        if let Some(app) = self.apps.get_mut(n) {
            app.groups.remove(&group);
        }
        let targets = vec![self.group_target(group), self.app_target(n)];
        self.emit_event("group.application_assignment.remove", targets);
        self.tell_group_changes(n, group, &before);
    }

    /// Ends a group's assignments, before it is deleted.
    pub(crate) fn unassign_group_everywhere(&mut self, group: u32) {
        let apps: Vec<u32> = self
            .apps
            .all()
            .filter(|(_, app)| app.groups.contains_key(&group))
            .map(|(n, _)| n)
            .collect();
        for n in apps {
            self.drop_app_group(n, group);
        }
    }

    /// Ends a user's direct assignments.
    pub(crate) fn unassign_user_everywhere(&mut self, user: u32) {
        let apps: Vec<u32> = self
            .apps
            .all()
            .filter(|(_, app)| app.direct.binary_search(&user).is_ok())
            .map(|(n, _)| n)
            .collect();
        for n in apps {
            if let Some(app) = self.apps.get_mut(n) {
                app.direct.retain(|member| *member != user);
                app.written.remove(&user);
            }
            self.app_user_event("application.user_membership.remove", n, user);
        }
    }

    /// Drops what is kept about a user that is gone.
    pub(crate) fn forget_user(&mut self, user: u32) {
        for app in self.apps.all_mut() {
            app.written.remove(&user);
        }
    }

    fn app_user_event(&mut self, event_type: &str, n: u32, user: u32) {
        let login = self
            .users
            .get(user)
            .map(|found| found.login())
            .unwrap_or_default();
        let own: LogTarget = target("AppUser", &self.app_user_id(n, user), &login);
        let targets = vec![own, self.app_target(n), self.user_target(user)];
        self.emit_event(event_type, targets);
    }

    /// The assignment's own id, which only events show.
    fn app_user_id(&self, n: u32, user: u32) -> String {
        self.ids.text("0ua", (u64::from(n) << 32) | u64::from(user))
    }

    /// The user's name at the app.
    fn app_user_name(&self, app: &App, user: UserRef<'_>) -> String {
        app.written
            .get(&user.number())
            .and_then(|written| written.user_name.clone())
            .unwrap_or_else(|| origin_of(self, user).login)
    }

    /// What an assignment shows, as a start for changing it.
    fn app_user_now(&self, app: &App, user: UserRef<'_>) -> Shown {
        if let Some(written) = app.written.get(&user.number()) {
            return Shown {
                created: Some(written.created),
                user_name: written.user_name.clone(),
                profile: written.profile.clone(),
            };
        }
        let mut text = String::from("{");
        push_default_profile(&mut text, app, &origin_of(self, user));
        text.push('}');
        let profile = serde_json::from_str(&text).unwrap_or_default();
        let created = self
            .app_scope(app, user.number())
            .map(|scope| self.assigned_at(app, user, scope));
        Shown {
            created,
            user_name: None,
            profile,
        }
    }

    /// When an assignment that nobody wrote to began.
    fn assigned_at(&self, app: &App, user: UserRef<'_>, scope: Scope) -> i64 {
        let base = user.times().created.max(app.created);
        match scope {
            Scope::User => base,
            Scope::Group(n) => {
                let since = app.groups.get(&n).map_or(0, |link| link.since);
                let joined = self
                    .groups
                    .get(n)
                    .and_then(|group| group.joined.get(&user.number()))
                    .copied()
                    .unwrap_or(0);
                base.max(since).max(joined).max(app.active_since)
            }
        }
    }

    /// Appends an assignment as JSON.
    fn push_app_user(
        &self,
        out: &mut String,
        app: &App,
        user: UserRef<'_>,
        scope: Scope,
        base: &str,
    ) {
        let n = user.number();
        let written = app.written.get(&n);
        let since = self.assigned_at(app, user, scope);
        let created = written.map_or(since, |written| written.created);
        let updated = written.map_or(since, |written| written.last_updated);
        let origin = origin_of(self, user);
        out.push_str("{\"id\":\"");
        self.ids.push(out, "00u", u64::from(n));
        out.push_str("\",\"externalId\":null,\"created\":\"");
        push_time(out, created);
        out.push_str("\",\"lastUpdated\":\"");
        push_time(out, updated);
        out.push_str("\",\"scope\":\"");
        out.push_str(if scope == Scope::User {
            "USER"
        } else {
            "GROUP"
        });
        out.push_str("\",\"status\":\"ACTIVE\",\"statusChanged\":\"");
        push_time(out, created);
        out.push_str(
            "\",\"passwordChanged\":null,\"syncState\":\"DISABLED\",\"credentials\":{\"userName\":",
        );
        let name = written
            .and_then(|written| written.user_name.as_deref())
            .unwrap_or(&origin.login);
        push_string(out, name);
        out.push_str("},\"profile\":{");
        match written {
            Some(written) => {
                for (at, (key, value)) in written.profile.iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    push_string(out, key);
                    out.push(':');
                    push_value(out, value);
                }
            }
            None => push_default_profile(out, app, &origin),
        }
        out.push_str("},\"_links\":{\"app\":{\"href\":\"");
        out.push_str(base);
        out.push_str("/api/v1/apps/");
        self.ids.push(out, "0oa", u64::from(app.number));
        if let Scope::Group(group) = scope {
            out.push_str("\"},\"group\":{\"href\":\"");
            out.push_str(base);
            out.push_str("/api/v1/groups/");
            self.ids.push(out, "00g", u64::from(group));
        }
        out.push_str("\"},\"user\":{\"href\":\"");
        out.push_str(base);
        out.push_str("/api/v1/users/");
        self.ids.push(out, "00u", u64::from(n));
        out.push_str("\"}}}");
    }

    fn app_group_value(&self, app: &App, group: u32, link: &AppGroup, base: &str) -> Value {
        let (app_id, group_id) = (self.app_id(app.number), self.group_id(group));
        json!({
            "id": group_id,
            "lastUpdated": time_text(link.last_updated),
            "priority": link.priority,
            "profile": link.profile,
            "_links": {
                "app": {"href": format!("{base}/api/v1/apps/{app_id}")},
                "self": {"href": format!("{base}/api/v1/apps/{app_id}/groups/{group_id}")},
                "group": {"href": format!("{base}/api/v1/groups/{group_id}")},
            },
        })
    }

    /// Every assignment of a user, by `APP/USER`.
    pub(crate) fn dump_app_users(&self, base: &str) -> BTreeMap<String, Value> {
        let mut all = BTreeMap::new();
        for (n, app) in self.apps.all() {
            let app_id = self.app_id(n);
            for (user, scope) in Merged::new(self, app, 0) {
                let Some(found) = self.users.get(user) else {
                    continue;
                };
                let mut out = String::new();
                self.push_app_user(&mut out, app, found, scope, base);
                all.insert(
                    format!("{app_id}/{}", self.user_id(user)),
                    serde_json::from_str(&out).unwrap_or_default(),
                );
            }
        }
        all
    }

    /// Every assignment of a group, by `APP/GROUP`.
    pub(crate) fn dump_app_groups(&self, base: &str) -> BTreeMap<String, Value> {
        let mut all = BTreeMap::new();
        for (n, app) in self.apps.all() {
            for (group, link) in &app.groups {
                let key = format!("{}/{}", self.app_id(n), self.group_id(*group));
                all.insert(key, self.app_group_value(app, *group, link, base));
            }
        }
        all
    }
}

/// What an assignment's profile is made from, once, when it begins.
struct Origin {
    login: String,
    first: String,
    last: String,
    email: String,
}

fn origin_of(core: &Core, user: UserRef<'_>) -> Origin {
    if let Some(person) = core.users.person(user.number()) {
        let login = person.login();
        return Origin {
            email: login.clone(),
            login,
            first: person.first_name().to_owned(),
            last: person.last_name().to_owned(),
        };
    }
    match user {
        UserRef::Written(_, user) => {
            let [login, first, last, email] = user.origin.clone();
            Origin {
                login,
                first,
                last,
                email,
            }
        }
        UserRef::Generated(_) => Origin {
            login: user.login(),
            first: String::new(),
            last: String::new(),
            email: user.login(),
        },
    }
}

/// The profile that the app's mapping gives a new assignment.
fn push_default_profile(out: &mut String, app: &App, origin: &Origin) {
    match app.sign_on_mode() {
        "OPENID_CONNECT" => {
            out.push_str("\"street_address\":null,\"country\":null,\"website\":null,\"zoneinfo\":\"America/Los_Angeles\",\"birthdate\":null,\"gender\":null,\"formatted\":null,\"profile\":null,\"locality\":null,\"given_name\":");
            push_string(out, &origin.first);
            out.push_str(",\"middle_name\":null,\"locale\":\"en_US\",\"picture\":null,\"name\":");
            push_string(out, &format!("{} {}", origin.first, origin.last));
            out.push_str(",\"nickname\":null,\"phone_number\":null,\"region\":null,\"postal_code\":null,\"family_name\":");
            push_string(out, &origin.last);
            out.push_str(",\"email\":");
            push_string(out, &origin.email);
        }
        "SAML_2_0" => {
            out.push_str("\"email\":");
            push_string(out, &origin.email);
            out.push_str(",\"firstName\":");
            push_string(out, &origin.first);
            out.push_str(",\"lastName\":");
            push_string(out, &origin.last);
        }
        _ => {}
    }
}
