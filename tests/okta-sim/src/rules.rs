//! Group rules: who is put into which group by an expression.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::{
    clock::time_text,
    cursor::{PageSizes, Window},
    expression::Expression,
    json::{ArrayWriter, push_value},
    log::target,
    org::Core,
    person::Status,
    response::{Outcome, Response, no_such_method, no_such_path, refusal},
    users::{body, flag},
    wire::{Refusal, Request},
};

/// Page sizes of the rule list.
const SIZES: PageSizes = PageSizes::new(50, 200);
/// The longest name of a rule.
const NAME_MAX: usize = 50;

/// Whether a rule works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RuleStatus {
    Inactive,
    Active,
    /// A target group is gone.
    Invalid,
}

/// One rule.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    pub(crate) name: String,
    pub(crate) status: RuleStatus,
    pub(crate) created: i64,
    pub(crate) last_updated: i64,
    pub(crate) expression: String,
    pub(crate) excluded_users: Vec<String>,
    /// The groups' ids, as given; one may be gone.
    pub(crate) group_ids: Vec<String>,
    /// The members it made: group and user.
    pub(crate) made: BTreeSet<(u32, u32)>,
}

/// All rules, by number.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    places: BTreeMap<u32, Rule>,
    next: u32,
    /// When set, a create within this many milliseconds of another answers 423 `E0000239`.
    pub(crate) reconciling_ms: i64,
    last_create: i64,
}

impl Rules {
    /// Adds a rule and gives its number.
    pub(crate) fn add(&mut self, rule: Rule) -> u32 {
        let n = self.next;
        self.next += 1;
        self.places.insert(n, rule);
        n
    }

    /// The rule with this number.
    pub(crate) fn get(&self, n: u32) -> Option<&Rule> {
        self.places.get(&n)
    }

    /// All of them, by number.
    pub(crate) fn all(&self) -> impl Iterator<Item = (u32, &Rule)> {
        self.places.iter().map(|(n, rule)| (*n, rule))
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }
}

/// Answers `/api/v1/groups/rules` and what is below it; `path` starts after `rules`.
pub(crate) fn route(core: &mut Core, request: &Request, path: &[&str]) -> Outcome {
    match (request.method.as_str(), path) {
        ("GET", []) => list(core, request),
        ("POST", []) => create(core, request),
        ("GET", [id]) => {
            let n = found(core, id)?;
            Ok(Response::json(200, &core.rule_value(n)))
        }
        ("PUT", [id]) => {
            let n = found(core, id)?;
            replace(core, request, n)
        }
        ("DELETE", [id]) => {
            let n = found(core, id)?;
            delete(core, request, n)
        }
        ("POST", [id, "lifecycle", verb]) => {
            let n = found(core, id)?;
            act(core, n, verb)
        }
        (_, [] | [_] | [_, "lifecycle", _]) => Err(no_such_method()),
        _ => Err(no_such_path()),
    }
}

fn found(core: &Core, id: &str) -> Result<u32, Refusal> {
    core.find_rule(id)
        .ok_or_else(|| Refusal::not_found(id, "GroupRule"))
}

fn list(core: &Core, request: &Request) -> Outcome {
    let window = Window::read(core, request, SIZES)?;
    let start = u32::try_from(window.start).unwrap_or(u32::MAX);
    let keyword = request.param("search").map(str::to_lowercase);
    let mut array = ArrayWriter::with_room(8192);
    let mut last = None;
    let mut count = 0;
    let wanted = |rule: &Rule| {
        keyword
            .as_ref()
            .is_none_or(|word| rule.name.to_lowercase().contains(word))
    };
    for (n, _) in core
        .rules
        .places
        .range(start..)
        .filter(|(_, rule)| wanted(rule))
        .take(window.limit)
    {
        push_value(array.item(), &core.rule_value(*n));
        last = Some(*n);
        count += 1;
    }
    // A full page has a `next`, though the page after it may be empty.
    let next = last
        .filter(|_| count == window.limit)
        .map(|n| u64::from(n) + 1);
    Ok(Response::list(
        array.finish(),
        window.page(core, request, next),
    ))
}

/// What a write gives.
struct Draft {
    name: String,
    expression: String,
    excluded_users: Vec<String>,
    group_ids: Vec<String>,
}

fn draft(core: &Core, request: &Request, of: Option<u32>) -> Result<Draft, Refusal> {
    let body = body(request)?;
    if body.get("type").and_then(Value::as_str) != Some("group_rule") {
        return Err(Refusal::validation("type", "The type must be group_rule."));
    }
    let name = body
        .get("name")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    if name.is_empty() || name.chars().count() > NAME_MAX {
        return Err(Refusal::validation(
            "name",
            "The name must be 1 to 50 characters long.",
        ));
    }
    if core
        .rules
        .places
        .iter()
        .any(|(n, rule)| Some(*n) != of && rule.name == name)
    {
        return Err(Refusal::validation(
            "name",
            "Another active group rule with this name already exists.",
        ));
    }
    let conditions = body.get("conditions").cloned().unwrap_or_default();
    let expression = conditions
        .pointer("/expression/value")
        .and_then(Value::as_str)
        .unwrap_or_default();
    if expression.is_empty() {
        return Err(Refusal::validation(
            "conditions",
            "The expression cannot be left blank.",
        ));
    }
    if conditions
        .pointer("/expression/type")
        .and_then(Value::as_str)
        != Some("urn:okta:expression:1.0")
    {
        return Err(Refusal::validation(
            "conditions",
            "The expression's type is not valid.",
        ));
    }
    let excluded_users = texts(conditions.pointer("/people/users/exclude"));
    if excluded_users.iter().any(|id| core.find_user(id).is_none()) {
        return Err(Refusal::validation(
            "conditions",
            "An excluded user does not exist.",
        ));
    }
    let group_ids = texts(
        body.get("actions")
            .and_then(|actions| actions.pointer("/assignUserToGroups/groupIds")),
    );
    if group_ids.is_empty() {
        return Err(Refusal::validation(
            "actions",
            "At least one group is required.",
        ));
    }
    Ok(Draft {
        name,
        expression: expression.to_owned(),
        excluded_users,
        group_ids,
    })
}

fn check_targets(core: &Core, group_ids: &[String]) -> Result<(), Refusal> {
    let writable = |id: &String| {
        core.find_group(id)
            .and_then(|n| core.groups.get(n))
            .is_some_and(|group| group.writable())
    };
    if group_ids.iter().all(writable) {
        return Ok(());
    }
    Err(Refusal::validation(
        "groupIds",
        "A group does not exist or cannot be assigned to.",
    ))
}

fn check_expression(core: &Core, expression: &str) -> Result<(), Refusal> {
    let dangling = Expression::group_ids_in(expression)
        .into_iter()
        .any(|id| core.find_group(&id).is_none());
    if dangling {
        // Assumed: Okta validates the groups that an expression names when the rule is written.
        return Err(Refusal::validation(
            "conditions",
            "The expression names a group that does not exist.",
        ));
    }
    Ok(())
}

fn texts(value: Option<&Value>) -> Vec<String> {
    let items = value
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    items
        .iter()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

fn create(core: &mut Core, request: &Request) -> Outcome {
    let draft = draft(core, request, None)?;
    check_targets(core, &draft.group_ids)?;
    check_expression(core, &draft.expression)?;
    let now = core.clock.now();
    if core.rules.reconciling_ms > 0 && now - core.rules.last_create < core.rules.reconciling_ms {
        return Err(refusal(
            423,
            "E0000239",
            "Policy priorities are being reconciled. Please try again later.",
        ));
    }
    core.rules.last_create = now;
    let second = core.clock.second();
    let n = core.rules.add(Rule {
        name: draft.name,
        status: RuleStatus::Inactive,
        created: second,
        last_updated: second,
        expression: draft.expression,
        excluded_users: draft.excluded_users,
        group_ids: draft.group_ids,
        made: BTreeSet::new(),
    });
    Ok(Response::json(200, &core.rule_value(n)))
}

fn replace(core: &mut Core, request: &Request, n: u32) -> Outcome {
    let draft = draft(core, request, Some(n))?;
    let Some(rule) = core.rules.places.get(&n) else {
        return Err(no_such_path());
    };
    if rule.status == RuleStatus::Active {
        return Err(Refusal::validation(
            "status",
            "Rule must be inactive to be updated.",
        ));
    }
    if rule.group_ids != draft.group_ids {
        return Err(Refusal::validation(
            "actions",
            "The actions of a rule cannot be changed.",
        ));
    }
    check_expression(core, &draft.expression)?;
    let second = core.clock.second();
    if let Some(rule) = core.rules.places.get_mut(&n) {
        rule.name = draft.name;
        rule.expression = draft.expression;
        rule.excluded_users = draft.excluded_users;
        rule.last_updated = second;
    }
    Ok(Response::json(200, &core.rule_value(n)))
}

fn delete(core: &mut Core, request: &Request, n: u32) -> Outcome {
    let remove_users = flag(request, "removeUsers", false)?;
    let Some(rule) = core.rules.places.get(&n) else {
        return Err(no_such_path());
    };
    if rule.status == RuleStatus::Active {
        // Assumed: an active rule must be deactivated before it can be deleted.
        return Err(Refusal::validation(
            "status",
            "Rule must be inactive to be deleted.",
        ));
    }
    let made = core
        .rules
        .places
        .remove(&n)
        .map(|rule| rule.made)
        .unwrap_or_default();
    if remove_users {
        for (group, user) in made {
            core.leave(group, user);
        }
    }
    Ok(Response::empty(202))
}

fn act(core: &mut Core, n: u32, verb: &str) -> Outcome {
    let status = core.rules.places.get(&n).map(|rule| rule.status);
    match (verb, status) {
        ("activate", Some(RuleStatus::Invalid)) => {
            // Assumed: an invalid rule cannot be activated.
            Err(Refusal::validation(
                "status",
                "An invalid rule cannot be activated.",
            ))
        }
        ("activate", _) => {
            core.set_rule_status(n, RuleStatus::Active);
            core.apply_rule(n);
            Ok(Response::empty(204))
        }
        ("deactivate", Some(RuleStatus::Active)) => {
            core.set_rule_status(n, RuleStatus::Inactive);
            let subject = core.rule_target(n);
            core.emit_event("group.user_membership.rule.deactivated", vec![subject]);
            Ok(Response::empty(204))
        }
        ("deactivate", _) => Ok(Response::empty(204)),
        _ => Err(no_such_path()),
    }
}

impl Core {
    /// The number of the rule with this id, if it is there.
    pub(crate) fn find_rule(&self, id: &str) -> Option<u32> {
        self.ids
            .ordinal("0pr", id)
            .filter(|n| self.rules.places.contains_key(n))
    }

    /// A rule's id.
    pub(crate) fn rule_id(&self, n: u32) -> String {
        self.ids.text("0pr", u64::from(n))
    }

    fn rule_target(&self, n: u32) -> crate::wire::LogTarget {
        let name = self
            .rules
            .get(n)
            .map(|rule| rule.name.clone())
            .unwrap_or_default();
        target("Rule", &self.rule_id(n), &name)
    }

    fn set_rule_status(&mut self, n: u32, status: RuleStatus) {
        // As recorded: activating does not move `lastUpdated`.
        if let Some(rule) = self.rules.places.get_mut(&n) {
            rule.status = status;
        }
    }

    /// A rule as a tree.
    pub(crate) fn rule_value(&self, n: u32) -> Value {
        let Some(rule) = self.rules.get(n) else {
            return Value::Null;
        };
        json!({
            "type": "group_rule",
            "id": self.rule_id(n),
            "status": match rule.status {
                RuleStatus::Inactive => "INACTIVE",
                RuleStatus::Active => "ACTIVE",
                RuleStatus::Invalid => "INVALID",
            },
            "name": rule.name,
            "created": time_text(rule.created),
            "lastUpdated": time_text(rule.last_updated),
            "conditions": {
                "people": {"users": {"exclude": rule.excluded_users}, "groups": {"exclude": []}},
                "expression": {"value": rule.expression, "type": "urn:okta:expression:1.0"},
            },
            "actions": {"assignUserToGroups": {"groupIds": rule.group_ids}},
            "allGroupsValid": rule.group_ids.iter().all(|id| self.find_group(id).is_some()),
        })
    }

    /// Whether a rule puts this user into its groups; `None` where the expression is beyond the simulator.
    fn rule_holds(&self, rule: &Rule, expression: &Expression, user: u32) -> Option<bool> {
        let found = self.users.get(user)?;
        if found.status() == Status::Deprovisioned
            || rule.excluded_users.contains(&self.user_id(user))
        {
            return Some(false);
        }
        expression.holds(
            &|name: &str| found.attribute(&self.ids, name),
            &|id: &str| {
                self.find_group(id)
                    .and_then(|n| self.groups.get(n))
                    .is_some_and(|group| group.has(user))
            },
        )
    }

    /// Applies a rule that has just become active to every user.
    pub(crate) fn apply_rule(&mut self, n: u32) {
        let Some(rule) = self.rules.get(n) else {
            return;
        };
        let expression = Expression::parse(&rule.expression);
        let wanted: Vec<u32> = self
            .users
            .all()
            .filter(|(user, _)| self.rule_holds(rule, &expression, *user) == Some(true))
            .map(|(user, _)| user)
            .collect();
        for user in wanted {
            self.settle(n, user, true);
        }
    }

    /// Applies every active rule to a user that was created or changed.
    pub(crate) fn apply_rules_to(&mut self, user: u32) {
        let decided: Vec<(u32, bool)> = self
            .rules
            .places
            .iter()
            .filter(|(_, rule)| rule.status == RuleStatus::Active)
            .filter_map(|(n, rule)| {
                let expression = Expression::parse(&rule.expression);
                self.rule_holds(rule, &expression, user)
                    .map(|holds| (*n, holds))
            })
            .collect();
        for (n, holds) in decided {
            self.settle(n, user, holds);
        }
    }

    /// A membership changed: rules that ask for this group decide about the user again.
    pub(crate) fn follow_membership(&mut self, group: u32, user: u32) {
        let id = self.group_id(group);
        let decided: Vec<(u32, bool)> = self
            .rules
            .places
            .iter()
            .filter(|(_, rule)| rule.status == RuleStatus::Active && rule.expression.contains(&id))
            .filter_map(|(n, rule)| {
                let expression = Expression::parse(&rule.expression);
                self.rule_holds(rule, &expression, user)
                    .map(|holds| (*n, holds))
            })
            .collect();
        for (n, holds) in decided {
            self.settle(n, user, holds);
        }
    }

    /// Makes or ends a rule's memberships of one user.
    fn settle(&mut self, n: u32, user: u32, holds: bool) {
        let Some(rule) = self.rules.get(n) else {
            return;
        };
        let groups: Vec<u32> = rule
            .group_ids
            .iter()
            .filter_map(|id| self.find_group(id))
            .collect();
        for group in groups {
            let made = self
                .rules
                .get(n)
                .is_some_and(|rule| rule.made.contains(&(group, user)));
            let member = self.groups.get(group).is_some_and(|group| group.has(user));
            match (holds, made, member) {
                (true, false, false) => {
                    if let Some(rule) = self.rules.places.get_mut(&n) {
                        rule.made.insert((group, user));
                    }
                    self.join(group, user);
                }
                (false, true, _) => {
                    if let Some(rule) = self.rules.places.get_mut(&n) {
                        rule.made.remove(&(group, user));
                    }
                    self.leave(group, user);
                }
                _ => {}
            }
        }
    }

    /// Taking a member that a rule made out of the group by hand excludes the user from the rule.
    pub(crate) fn exclude_from_rules(&mut self, group: u32, user: u32) {
        let user_id = self.user_id(user);
        let mut touched = Vec::new();
        for (n, rule) in &mut self.rules.places {
            if rule.made.remove(&(group, user)) && !rule.excluded_users.contains(&user_id) {
                rule.excluded_users.push(user_id.clone());
                touched.push(*n);
            }
        }
        for n in touched {
            let targets = vec![self.user_target(user), self.rule_target(n)];
            self.emit_event("group.user_membership.rule.add_exclusion", targets);
        }
    }

    /// A group is gone: rules that assign to it, or ask for it, become invalid.
    pub(crate) fn invalidate_rules(&mut self, group: u32) {
        let id = self.group_id(group);
        let mut touched = Vec::new();
        for (n, rule) in &mut self.rules.places {
            rule.made.retain(|(made, _)| *made != group);
            if (rule.group_ids.contains(&id) || rule.expression.contains(&id))
                && rule.status != RuleStatus::Invalid
            {
                rule.status = RuleStatus::Invalid;
                touched.push(*n);
            }
        }
        for n in touched {
            let subject = self.rule_target(n);
            self.emit_event("group.user_membership.rule.invalidate", vec![subject]);
        }
    }

    /// A user was deactivated: no rule holds it any more.
    pub(crate) fn forget_rule_members(&mut self, user: u32) {
        for rule in self.rules.places.values_mut() {
            rule.made.retain(|(_, made)| *made != user);
        }
    }

    /// Every rule, by id.
    pub(crate) fn dump_rules(&self) -> BTreeMap<String, Value> {
        self.rules
            .places
            .keys()
            .map(|n| (self.rule_id(*n), self.rule_value(*n)))
            .collect()
    }
}
