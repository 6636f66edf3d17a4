//! A day in the life of an org: what changes in it while nobody in particular is looking.
//!
//! Everything follows from the org's seed and the day's number, so two orgs of the same users and seed live through
//! the same days. Changes go through the same requests as an admin's; a login is the one thing that only happens.

use std::collections::BTreeSet;

use http::Method;
use serde_json::{Map, Value, json};

use crate::{
    exchange::Exchange,
    groups::EVERYONE,
    person::{DEPARTMENTS, Status},
    random::{Stream, below, index},
    rules::RuleStatus,
};

/// How much changes in a day, in thousandths of what there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Day {
    /// Of the users: some of their attributes change.
    pub users_changed: u32,
    /// Of the users: so many are added.
    pub users_added: u32,
    /// Of the users: so many are deleted for good.
    pub users_deleted: u32,
    /// Of the memberships that no rule makes, and of the users' own assignments to apps: so many end, and as many begin elsewhere.
    pub moved: u32,
    /// Of the users: so many sign in, which moves `lastLogin` and nothing else.
    pub logins: u32,
}

impl Default for Day {
    /// 1 % of the users changed, 0.2 % added, 0.1 % deleted, 0.5 % of memberships and assignments moved, nobody signs in.
    fn default() -> Self {
        Self {
            users_changed: 10,
            users_added: 2,
            users_deleted: 1,
            moved: 5,
            logins: 0,
        }
    }
}

/// What happened in a day. What follows from it (rules, assignments through groups) is not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DayCounts {
    /// Users of whom something changed.
    pub users_changed: usize,
    /// Users that are new.
    pub users_added: usize,
    /// Users that are gone.
    pub users_deleted: usize,
    /// Memberships that ended, each of which began in another group.
    pub memberships_moved: usize,
    /// Assignments of single users that ended, each of which began in another app.
    pub assignments_moved: usize,
    /// Users that signed in.
    pub logins: usize,
}

/// Lets one day pass; `number` makes it another than the others.
pub(crate) fn live(exchange: &mut Exchange, day: Day, number: u32) -> DayCounts {
    let stream = Stream::new(exchange.core.seed, 0x6461_7900_0000 + u64::from(number));
    let mut today = Today {
        exchange,
        stream,
        number,
        counts: DayCounts::default(),
    };
    let present = today.users();
    let share = |total: usize, thousandths: u32| total * thousandths as usize / 1000;
    today.change(&present, share(present.len(), day.users_changed));
    today.delete(&present, share(present.len(), day.users_deleted));
    today.add(&present, share(present.len(), day.users_added));
    today.move_members(day.moved);
    today.move_assignments(day.moved);
    today.log_in(&present, share(present.len(), day.logins));
    today.counts
}

struct Today<'a> {
    exchange: &'a mut Exchange,
    stream: Stream,
    number: u32,
    counts: DayCounts,
}

impl Today<'_> {
    /// Everyone that can be changed; the admin is left alone.
    fn users(&self) -> Vec<u32> {
        let users = self.exchange.core.users.all();
        users
            .filter(|(n, user)| *n > 0 && user.status() != Status::Deprovisioned)
            .map(|(n, _)| n)
            .collect()
    }

    fn choose<'v, T>(&mut self, from: &'v [T]) -> Option<&'v T> {
        from.get(index(self.stream.next(), from.len()))
    }

    /// So many of these, each once.
    fn some(&mut self, from: &[u32], count: usize) -> BTreeSet<u32> {
        let mut chosen = BTreeSet::new();
        while chosen.len() < count.min(from.len()) {
            chosen.extend(self.choose(from).copied());
        }
        chosen
    }

    fn request(&mut self, method: &Method, path: &str, body: Option<Value>) -> bool {
        (200..300).contains(&self.exchange.administer(method, path, body).status)
    }

    fn change(&mut self, present: &[u32], count: usize) {
        for n in self.some(present, count) {
            let id = self.exchange.core.user_id(n);
            let done = match below(self.stream.next(), 20) {
                0 => self.suspend_or_resume(n, &id),
                roll => {
                    let profile = self.new_attributes(roll, present);
                    let body = json!({ "profile": profile });
                    self.request(&Method::POST, &format!("/api/v1/users/{id}"), Some(body))
                }
            };
            self.counts.users_changed += usize::from(done);
        }
    }

    fn suspend_or_resume(&mut self, n: u32, id: &str) -> bool {
        let status = self.exchange.core.users.get(n).map(|user| user.status());
        let verb = match status {
            Some(Status::Active | Status::PasswordExpired) => "suspend",
            Some(Status::Suspended) => "unsuspend",
            _ => return false,
        };
        let path = format!("/api/v1/users/{id}/lifecycle/{verb}");
        self.request(&Method::POST, &path, None)
    }

    /// What an admin or the personnel system writes: a new phone, a promotion, a move, a transfer.
    fn new_attributes(&mut self, roll: u64, present: &[u32]) -> Value {
        let number = below(self.stream.next(), 9_000_000) + 1_000_000;
        match roll {
            1..=5 => json!({ "mobilePhone": format!("+1 555 {number}") }),
            6..=10 => {
                let grade = below(number, 9) + 1;
                json!({ "title": format!("Specialist {grade}, {}", self.department()), "jobLevel": grade })
            }
            11..=14 => {
                let street = format!("{} Harbour Street", number % 900);
                let zip = format!("{:05}", number % 90_000 + 10_000);
                json!({
                    "streetAddress": street, "zipCode": zip,
                    "postalAddress": format!("{street}, {zip} Boston, US"),
                    "city": "Boston", "state": "MA", "countryCode": "US", "timezone": "America/New_York",
                })
            }
            15..=17 => {
                let manager = self.choose(present).copied().unwrap_or(0);
                let manager = self.exchange.core.user_id(manager);
                json!({
                    "department": self.department(), "costCenter": format!("CC-{}", number % 400 + 1000),
                    "managerId": manager,
                })
            }
            18 => {
                json!({ "lastName": format!("Newname{}", number % 10_000), "displayName": format!("Newname {number}") })
            }
            _ => {
                json!({ "remoteWorker": number.is_multiple_of(2), "badgeNumber": format!("B-{number}") })
            }
        }
    }

    fn department(&mut self) -> &'static str {
        self.choose(DEPARTMENTS).copied().unwrap_or_default()
    }

    fn delete(&mut self, present: &[u32], count: usize) {
        for n in self.some(present, count) {
            let path = format!("/api/v1/users/{}", self.exchange.core.user_id(n));
            // The first deactivates, the second deletes.
            let done = self.request(&Method::DELETE, &path, None)
                && self.request(&Method::DELETE, &path, None);
            self.counts.users_deleted += usize::from(done);
        }
    }

    /// New people have the attributes of people: those of somebody who is there, with a name and numbers of their own.
    fn add(&mut self, present: &[u32], count: usize) {
        let groups: Vec<String> = self
            .open_groups()
            .into_iter()
            .map(|n| self.exchange.core.group_id(n))
            .collect();
        for place in 0..count {
            let Some(profile) = self.new_profile(present, place) else {
                continue;
            };
            let joins: BTreeSet<String> = (0..7)
                .filter_map(|_| {
                    // The lower of two: low numbers are large groups.
                    let choice = self.stream.next().min(self.stream.next()) >> 32;
                    let at = usize::try_from((choice * groups.len() as u64) >> 32).unwrap_or(0);
                    groups.get(at).cloned()
                })
                .collect();
            let body = json!({
                "profile": profile, "groupIds": joins,
                "credentials": {"password": {"value": "Not-a-real-one-1"}},
            });
            let path = "/api/v1/users?activate=true";
            let done = self.request(&Method::POST, path, Some(body));
            self.counts.users_added += usize::from(done);
        }
    }

    fn new_profile(&mut self, present: &[u32], place: usize) -> Option<Map<String, Value>> {
        let like = self.choose(present).copied()?;
        let core = &self.exchange.core;
        let mut profile = core
            .users
            .get(like)
            .filter(|user| user.user_type() == 0)?
            .profile(&core.ids);
        let login = format!("joined.{}.{place}@acme.example", self.number);
        let number = below(self.stream.next(), 9_000_000) + 1_000_000;
        for (key, value) in [
            ("login", login.clone()),
            ("email", login),
            (
                "secondEmail",
                format!("joined{}x{place}@home.example", self.number),
            ),
            ("mobilePhone", format!("+1 555 {number}")),
            ("employeeNumber", format!("E{}-{place}", self.number)),
            ("badgeNumber", format!("B-{}-{place}", self.number)),
            ("displayName", format!("Joined {} {place}", self.number)),
        ] {
            profile.insert(key.to_owned(), Value::String(value));
        }
        Some(profile)
    }

    /// The groups whose members are neither made by a rule nor imported nor the org's own affair.
    fn open_groups(&self) -> Vec<u32> {
        let core = &self.exchange.core;
        let ruled: BTreeSet<&str> = core
            .rules
            .all()
            .filter(|(_, rule)| rule.status == RuleStatus::Active)
            .flat_map(|(_, rule)| rule.group_ids.iter().map(String::as_str))
            .collect();
        let groups = core.groups.all();
        groups
            .filter(|(n, group)| *n != EVERYONE && group.writable())
            .map(|(n, _)| n)
            .filter(|n| !ruled.contains(core.group_id(*n).as_str()))
            .collect()
    }

    fn move_members(&mut self, thousandths: u32) {
        let pairs = |today: &Self, n: u32| {
            let group = today.exchange.core.groups.get(n);
            group.map_or(0, |group| group.members.len())
        };
        let groups = self.open_groups();
        let ends = self.ends(&groups, pairs);
        let moves = ends.last().copied().unwrap_or(0) * thousandths as usize / 1000;
        for _ in 0..moves {
            let (Some(from), Some(to)) =
                (self.weighted(&groups, &ends), self.weighted(&groups, &ends))
            else {
                return;
            };
            let core = &self.exchange.core;
            let members = core.groups.get(from).map(|group| group.members.as_slice());
            let members = members.unwrap_or_default().to_vec();
            let Some(user) = self.choose(&members).copied() else {
                continue;
            };
            let core = &self.exchange.core;
            let there = core.groups.get(to);
            if there.is_none_or(|group| group.members.binary_search(&user).is_ok()) {
                continue;
            }
            let user = core.user_id(user);
            let from = format!("/api/v1/groups/{}/users/{user}", core.group_id(from));
            let to = format!("/api/v1/groups/{}/users/{user}", core.group_id(to));
            let done =
                self.request(&Method::DELETE, &from, None) && self.request(&Method::PUT, &to, None);
            self.counts.memberships_moved += usize::from(done);
        }
    }

    fn move_assignments(&mut self, thousandths: u32) {
        let apps: Vec<u32> = self
            .exchange
            .core
            .apps
            .all()
            .filter(|(_, app)| !app.system && app.active)
            .map(|(n, _)| n)
            .collect();
        let direct = |today: &Self, n: u32| {
            let app = today.exchange.core.apps.get(n);
            app.map_or(0, |app| app.direct.len())
        };
        let ends = self.ends(&apps, direct);
        let moves = ends.last().copied().unwrap_or(0) * thousandths as usize / 1000;
        for _ in 0..moves {
            let (Some(from), Some(to)) = (self.weighted(&apps, &ends), self.choose(&apps).copied())
            else {
                return;
            };
            let core = &self.exchange.core;
            let users = core.apps.get(from).map(|app| app.direct.as_slice());
            let users = users.unwrap_or_default().to_vec();
            let Some(user) = self.choose(&users).copied() else {
                continue;
            };
            let core = &self.exchange.core;
            let (user, to) = (core.user_id(user), core.app_id(to));
            let from = format!("/api/v1/apps/{}/users/{user}", core.app_id(from));
            let to = format!("/api/v1/apps/{to}/users");
            let begins = self.request(
                &Method::POST,
                &to,
                Some(json!({ "id": user, "scope": "USER" })),
            );
            let done = begins && self.request(&Method::DELETE, &from, None);
            self.counts.assignments_moved += usize::from(done);
        }
    }

    /// Where each one's pairs end when all are put in a row.
    fn ends(&self, of: &[u32], count: impl Fn(&Self, u32) -> usize) -> Vec<usize> {
        let mut end = 0;
        of.iter()
            .map(|n| {
                end += count(self, *n);
                end
            })
            .collect()
    }

    /// One of them, the likelier the more pairs it has.
    fn weighted(&mut self, of: &[u32], ends: &[usize]) -> Option<u32> {
        let at = index(self.stream.next(), ends.last().copied().unwrap_or(0));
        of.get(ends.partition_point(|end| *end <= at)).copied()
    }

    fn log_in(&mut self, present: &[u32], count: usize) {
        let core = &mut self.exchange.core;
        let now = core.clock.second();
        for n in self.some(present, count) {
            let core = &mut self.exchange.core;
            let Some(user) = core.users.get(n) else {
                continue;
            };
            let mut user = user.to_user(&core.ids);
            if user.status == Status::Active {
                user.times.last_login = Some(now);
                core.put_user(n, user);
                self.counts.logins += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{Day, OktaSim};

    #[test]
    fn a_day_changes_what_it_says_and_the_same_in_every_org_of_the_seed() {
        let live = || {
            let okta = OktaSim::builder()
                .users(2000)
                .frozen_at(1_760_000_000_000)
                .start()
                .unwrap();
            let before = okta.dump("user");
            let counts = okta.live(Day::default(), 1);
            (before, counts, okta.dump("user"), okta.dump("group_member"))
        };
        let (before, counts, after, members) = live();
        let again = live();
        let gone = before.keys().filter(|id| !after.contains_key(*id)).count();
        let new = after.keys().filter(|id| !before.contains_key(*id)).count();
        assert_eq!((gone, new), (counts.users_deleted, counts.users_added));
        assert!(counts.users_changed >= 10 && counts.users_added >= 1 && counts.users_deleted == 1);
        assert!(counts.memberships_moved >= 40 && counts.assignments_moved >= 5);
        assert_eq!(counts, again.1);
        assert_eq!(members, again.3);
        assert_eq!(after, normal(again.2, &after));
    }

    /// Addresses hold the port, which is another in every run.
    fn normal(
        mut users: std::collections::BTreeMap<String, serde_json::Value>,
        like: &std::collections::BTreeMap<String, serde_json::Value>,
    ) -> std::collections::BTreeMap<String, serde_json::Value> {
        for (id, user) in &mut users {
            if let Some(links) = like.get(id).and_then(|user| user.get("_links")) {
                user["_links"] = links.clone();
            }
        }
        users
    }

    #[test]
    fn a_login_moves_last_login_and_nothing_else() {
        let okta = OktaSim::with_users(300);
        let before = okta.dump("user");
        let day = Day {
            users_changed: 0,
            users_added: 0,
            users_deleted: 0,
            moved: 0,
            logins: 500,
        };
        let counts = okta.live(day, 7);
        let mut after = okta.dump("user");
        let moved = after
            .iter()
            .filter(|(id, user)| user["lastLogin"] != before[*id]["lastLogin"])
            .count();
        assert_eq!(moved, counts.logins);
        assert!(moved > 80);
        for (id, user) in &mut after {
            user["lastLogin"] = before[id]["lastLogin"].clone();
        }
        assert_eq!(after, before);
    }
}
