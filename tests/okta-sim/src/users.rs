//! Users: those of the generated org, computed on demand, and those that were written to, kept.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value};

use crate::{
    clock::push_time,
    ids::IdMint,
    json::{push_string, push_value},
    org::Core,
    person::{JsonProfile, Person, Status, Times, TreeProfile},
};

mod api;
mod lifecycle;
mod query;
mod write;

pub(crate) use api::{IF_MATCH, body, route};
pub(crate) use write::flag;

/// All users.
#[derive(Debug)]
pub(crate) struct Users {
    seed: u64,
    generated: u32,
    slots: Vec<Slot>,
    /// The order in which lists show them; a user that is gone leaves its place empty.
    pub(crate) order: Vec<u32>,
    /// The logins of written users, in lower case.
    logins: HashMap<String, u32>,
    /// What `search` still shows of users that changed a moment ago.
    stale: BTreeMap<u32, Stale>,
}

/// One user's place.
#[derive(Debug, Clone)]
enum Slot {
    Gone,
    Generated,
    Written(Box<User>),
}

/// A user as `search` shows it until the index has caught up.
#[derive(Debug, Clone)]
struct Stale {
    until: i64,
    was: Slot,
}

/// A user that somebody wrote to.
#[derive(Debug, Clone)]
pub(crate) struct User {
    pub(crate) status: Status,
    pub(crate) times: Times,
    pub(crate) user_type: u32,
    pub(crate) profile: Map<String, Value>,
    pub(crate) has_password: bool,
    pub(crate) provider: (String, String),
    pub(crate) recovery_question: Option<String>,
    /// What app profiles were made from when it was assigned: login, first name, last name, e-mail.
    pub(crate) origin: [String; 4],
}

/// A user, however it is kept.
#[derive(Debug, Clone, Copy)]
pub(crate) enum UserRef<'a> {
    Generated(Person),
    Written(u32, &'a User),
}

impl Users {
    /// The users of a generated org.
    pub(crate) fn generated(seed: u64, count: u32) -> Self {
        Self {
            seed,
            generated: count,
            slots: vec![Slot::Generated; count as usize],
            order: (0..count).collect(),
            logins: HashMap::new(),
            stale: BTreeMap::new(),
        }
    }

    /// How many places there are; the next user gets this number.
    pub(crate) fn places(&self) -> u32 {
        u32::try_from(self.slots.len()).unwrap_or(u32::MAX)
    }

    /// User number `n`, if it is there.
    pub(crate) fn get(&self, n: u32) -> Option<UserRef<'_>> {
        self.of_slot(n, self.slots.get(n as usize)?)
    }

    fn of_slot<'a>(&self, n: u32, slot: &'a Slot) -> Option<UserRef<'a>> {
        match slot {
            Slot::Gone => None,
            Slot::Generated => Some(UserRef::Generated(Person::new(
                self.seed,
                self.generated,
                n,
            ))),
            Slot::Written(user) => Some(UserRef::Written(n, user)),
        }
    }

    /// User number `n` as generated, whatever became of it.
    pub(crate) fn person(&self, n: u32) -> Option<Person> {
        (n < self.generated).then(|| Person::new(self.seed, self.generated, n))
    }

    /// User number `n` as the search index shows it at `now`.
    fn indexed(&self, n: u32, now: i64) -> Option<UserRef<'_>> {
        match self.stale.get(&n).filter(|stale| now < stale.until) {
            Some(stale) => self.of_slot(n, &stale.was),
            None => self.get(n),
        }
    }

    /// The user with this login.
    pub(crate) fn by_login(&self, login: &str) -> Option<u32> {
        let wanted = login.to_lowercase();
        if let Some(n) = self.logins.get(&wanted) {
            return Some(*n);
        }
        let n = Person::ordinal_in(&wanted)?;
        match self.slots.get(n as usize)? {
            Slot::Generated if self.person(n)?.login() == wanted => Some(n),
            _ => None,
        }
    }

    /// Everyone that is there, by number.
    pub(crate) fn all(&self) -> impl Iterator<Item = (u32, UserRef<'_>)> {
        (0..self.places()).filter_map(|n| self.get(n).map(|user| (n, user)))
    }

    fn remember(&mut self, n: u32, index_sees_at: i64, now: i64) {
        if index_sees_at <= now {
            return;
        }
        let was = self.slots.get(n as usize).cloned().unwrap_or(Slot::Gone);
        self.stale
            .entry(n)
            .and_modify(|stale| {
                if stale.until <= now {
                    stale.was = was.clone();
                }
                stale.until = index_sees_at;
            })
            .or_insert(Stale {
                until: index_sees_at,
                was,
            });
    }

    /// Puts a user (back) in its place.
    fn put(&mut self, n: u32, user: User, index_sees_at: i64, now: i64) {
        self.remember(n, index_sees_at, now);
        if let Some(Slot::Written(old)) = self.slots.get(n as usize) {
            let login = login_of(&old.profile).to_lowercase();
            self.logins.remove(&login);
        }
        self.logins
            .insert(login_of(&user.profile).to_lowercase(), n);
        let slot = Slot::Written(Box::new(user));
        match self.slots.get_mut(n as usize) {
            Some(place) => *place = slot,
            None => {
                self.slots.push(slot);
                self.order.push(n);
            }
        }
    }

    fn erase(&mut self, n: u32, index_sees_at: i64, now: i64) {
        self.remember(n, index_sees_at, now);
        if let Some(place) = self.slots.get_mut(n as usize) {
            if let Slot::Written(old) = place {
                self.logins.remove(&login_of(&old.profile).to_lowercase());
            }
            *place = Slot::Gone;
        }
    }
}

/// The login in a profile.
pub(crate) fn login_of(profile: &Map<String, Value>) -> &str {
    profile
        .get("login")
        .and_then(Value::as_str)
        .unwrap_or_default()
}

impl UserRef<'_> {
    /// Its number.
    pub(crate) fn number(&self) -> u32 {
        match self {
            Self::Generated(person) => person.ordinal,
            Self::Written(n, _) => *n,
        }
    }

    /// Its status.
    pub(crate) fn status(&self) -> Status {
        match self {
            Self::Generated(person) => person.status(),
            Self::Written(_, user) => user.status,
        }
    }

    /// Its times.
    pub(crate) fn times(&self) -> Times {
        match self {
            Self::Generated(person) => person.times(),
            Self::Written(_, user) => user.times,
        }
    }

    /// Its user type's number.
    pub(crate) fn user_type(&self) -> u32 {
        match self {
            Self::Generated(person) => person.user_type(),
            Self::Written(_, user) => user.user_type,
        }
    }

    /// Its login.
    pub(crate) fn login(&self) -> String {
        match self {
            Self::Generated(person) => person.login(),
            Self::Written(_, user) => login_of(&user.profile).to_owned(),
        }
    }

    /// Its whole profile.
    pub(crate) fn profile(&self, ids: &IdMint) -> Map<String, Value> {
        match self {
            Self::Generated(person) => {
                let mut tree = TreeProfile::new(ids);
                person.profile(&mut tree);
                tree.map
            }
            Self::Written(_, user) => user.profile.clone(),
        }
    }

    /// One profile attribute.
    pub(crate) fn attribute(&self, ids: &IdMint, name: &str) -> Option<Value> {
        match self {
            Self::Generated(person) if name == "department" => {
                Some(Value::from(person.department()))
            }
            Self::Generated(_) => self.profile(ids).remove(name),
            Self::Written(_, user) => user.profile.get(name).cloned(),
        }
    }

    /// A copy that can be changed.
    pub(crate) fn to_user(self, ids: &IdMint) -> User {
        match self {
            Self::Written(_, user) => user.clone(),
            Self::Generated(person) => {
                let login = person.login();
                User {
                    status: person.status(),
                    times: person.times(),
                    user_type: person.user_type(),
                    profile: self.profile(ids),
                    has_password: has_password(person.status()),
                    provider: ("OKTA".to_owned(), "OKTA".to_owned()),
                    recovery_question: None,
                    origin: [
                        login.clone(),
                        person.first_name().to_owned(),
                        person.last_name().to_owned(),
                        login,
                    ],
                }
            }
        }
    }
}

fn has_password(status: Status) -> bool {
    !matches!(status, Status::Staged | Status::Provisioned)
}

/// How many links a user is shown with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Links {
    /// As in a list: only its own address.
    List,
    /// As by itself: what can be done with it.
    Single,
}

impl Core {
    /// A user's id.
    pub(crate) fn user_id(&self, n: u32) -> String {
        self.ids.text("00u", u64::from(n))
    }

    /// The number of the user with this id, if it is there.
    pub(crate) fn find_user(&self, id: &str) -> Option<u32> {
        let n = self.ids.ordinal("00u", id)?;
        self.users.get(n).map(|_| n)
    }

    /// The number of the user with this id or login.
    pub(crate) fn find_user_or_login(&self, text: &str) -> Option<u32> {
        self.find_user(text).or_else(|| self.users.by_login(text))
    }

    /// Appends a user as JSON.
    pub(crate) fn push_user(&self, out: &mut String, user: UserRef<'_>, base: &str, links: Links) {
        let times = user.times();
        out.push_str("{\"id\":\"");
        self.ids.push(out, "00u", u64::from(user.number()));
        out.push_str("\",\"status\":\"");
        out.push_str(user.status().text());
        push_time_member(out, "\",\"created\":", Some(times.created));
        push_time_member(out, ",\"activated\":", times.activated);
        push_time_member(out, ",\"statusChanged\":", times.status_changed);
        push_time_member(out, ",\"lastLogin\":", times.last_login);
        push_time_member(out, ",\"lastUpdated\":", Some(times.last_updated));
        push_time_member(out, ",\"passwordChanged\":", times.password_changed);
        out.push_str(",\"type\":{\"id\":\"");
        self.ids.push(out, "oty", u64::from(user.user_type()));
        out.push_str("\"},\"profile\":{");
        self.push_profile(out, user);
        out.push_str("},\"credentials\":{");
        push_credentials(out, user);
        out.push_str("},\"_links\":{");
        self.push_user_links(out, user, base, links);
        out.push_str("}}");
    }

    fn push_profile(&self, out: &mut String, user: UserRef<'_>) {
        match user {
            UserRef::Generated(person) => person.profile(&mut JsonProfile::new(out, &self.ids)),
            UserRef::Written(_, user) => {
                for (n, (key, value)) in user.profile.iter().enumerate() {
                    if n > 0 {
                        out.push(',');
                    }
                    push_string(out, key);
                    out.push(':');
                    push_value(out, value);
                }
                for key in ["mobilePhone", "secondEmail"] {
                    if !user.profile.contains_key(key) {
                        out.push_str(",\"");
                        out.push_str(key);
                        out.push_str("\":null");
                    }
                }
            }
        }
    }

    fn push_user_links(&self, out: &mut String, user: UserRef<'_>, base: &str, links: Links) {
        let path = |out: &mut String, tail: &str| {
            out.push_str(base);
            out.push_str("/api/v1/users/");
            self.ids.push(out, "00u", u64::from(user.number()));
            out.push_str(tail);
        };
        out.push_str("\"self\":{\"href\":\"");
        path(out, "");
        out.push_str("\"}");
        if links == Links::List {
            return;
        }
        for (rel, kind, prefix) in [
            ("schema", "meta/schemas/user", "osc"),
            ("type", "meta/types/user", "oty"),
        ] {
            out.push_str(",\"");
            out.push_str(rel);
            out.push_str("\":{\"href\":\"");
            out.push_str(base);
            out.push_str("/api/v1/");
            out.push_str(kind);
            out.push('/');
            self.ids.push(out, prefix, u64::from(user.user_type()));
            out.push_str("\"}");
        }
        for (rel, verb) in possible_actions(user.status()) {
            out.push_str(",\"");
            out.push_str(rel);
            out.push_str("\":{\"href\":\"");
            path(out, "/lifecycle/");
            out.push_str(verb);
            out.push_str("\",\"method\":\"POST\"}");
        }
    }

    /// Every user, by id.
    pub(crate) fn dump_users(&self, base: &str) -> BTreeMap<String, Value> {
        self.users
            .all()
            .map(|(n, user)| (self.user_id(n), self.user_value(user, base)))
            .collect()
    }

    /// A user as a tree, as by itself.
    pub(crate) fn user_value(&self, user: UserRef<'_>, base: &str) -> Value {
        let mut out = String::with_capacity(2048);
        self.push_user(&mut out, user, base, Links::Single);
        serde_json::from_str(&out).unwrap_or_default()
    }
}

fn push_time_member(out: &mut String, key: &str, ms: Option<i64>) {
    out.push_str(key);
    match ms {
        Some(ms) => {
            out.push('"');
            push_time(out, ms);
            out.push('"');
        }
        None => out.push_str("null"),
    }
}

fn push_credentials(out: &mut String, user: UserRef<'_>) {
    let (password, question, provider) = match user {
        UserRef::Generated(person) => (has_password(person.status()), None, ("OKTA", "OKTA")),
        UserRef::Written(_, user) => (
            user.has_password,
            user.recovery_question.as_deref(),
            (user.provider.0.as_str(), user.provider.1.as_str()),
        ),
    };
    if password {
        out.push_str("\"password\":{},");
    }
    if let Some(question) = question {
        out.push_str("\"recovery_question\":{\"question\":");
        push_string(out, question);
        out.push_str("},");
    }
    out.push_str("\"provider\":{\"type\":");
    push_string(out, provider.0);
    out.push_str(",\"name\":");
    push_string(out, provider.1);
    out.push('}');
}

fn possible_actions(status: Status) -> &'static [(&'static str, &'static str)] {
    match status {
        Status::Staged => &[("activate", "activate"), ("deactivate", "deactivate")],
        Status::Provisioned => &[
            ("suspend", "suspend"),
            ("resetPassword", "reset_password"),
            ("reactivate", "reactivate"),
            ("resetFactors", "reset_factors"),
            ("deactivate", "deactivate"),
        ],
        Status::Suspended => &[("unsuspend", "unsuspend"), ("deactivate", "deactivate")],
        Status::LockedOut => &[("unlock", "unlock"), ("deactivate", "deactivate")],
        Status::Deprovisioned => &[("activate", "activate")],
        Status::Active | Status::Recovery | Status::PasswordExpired => &[
            ("suspend", "suspend"),
            ("resetPassword", "reset_password"),
            ("expirePassword", "expire_password"),
            ("resetFactors", "reset_factors"),
            ("deactivate", "deactivate"),
        ],
    }
}

#[cfg(test)]
mod tests {
    use crate::{clock::OrgClock, generate::generate, users::UserRef};

    #[test]
    fn a_user_looks_the_same_whether_computed_or_kept() {
        let (core, _config) = generate(60, 3, OrgClock::default());
        for (n, user) in core.users.all() {
            let kept = user.to_user(&core.ids);
            let base = "https://acme.okta.com";
            assert_eq!(
                core.user_value(user, base),
                core.user_value(UserRef::Written(n, &kept), base),
            );
        }
    }
}
