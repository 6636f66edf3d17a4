//! The configuration that an org begins with: what Okta puts into every org, and a realistic set of an
//! administrator's own that grows with the number of users.
//!
//! What an administrator would have made is made by the same calls as later ones, with a clock of the past and
//! without the System Log: so nothing stands in the org that a request could not have put there.

mod builtin;
mod made;
mod policies;

use http::Method;
use serde_json::Value;

use super::ConfigStore;
use super::calls::Target;
use super::json::text;
use super::table::Kind;
use crate::wire::{LogEvent, Request, World};

/// What the rest of the org offers for the configuration to name, and how much there shall be.
#[derive(Debug, Clone, Default)]
pub struct Seeds {
    /// The number of users that the org's size is reckoned by.
    pub user_count: usize,
    /// Decides every random choice.
    pub seed: u64,
    /// The id of the group Everyone.
    pub everyone: String,
    /// Ids of groups that policies, rules and providers may name.
    pub groups: Vec<String>,
    /// Ids of users that rules may name; the first is who made everything.
    pub users: Vec<String>,
    /// Ids of apps that rules may name.
    pub apps: Vec<String>,
    /// Ids of user types that rules may name.
    pub user_types: Vec<String>,
}

/// Fills an empty store.
pub(crate) fn fill(store: &mut ConfigStore, world: &mut dyn World, seeds: &Seeds) {
    let mut past = Past { world, minutes: 0 };
    let mut seeder = Seeder {
        store,
        world: &mut past,
        seeds,
        random: Random(seeds.seed),
    };
    builtin::fill(&mut seeder);
    made::fill(&mut seeder);
    store.changes.clear();
}

/// The org in the past: its clock starts at 2023 and moves with every look, and it keeps no log.
struct Past<'a> {
    world: &'a mut dyn World,
    minutes: i64,
}

impl World for Past<'_> {
    fn now(&self) -> String {
        let start = jiff::Timestamp::constant(1_672_650_000, 0);
        let now = start + jiff::SignedDuration::from_mins(self.minutes);
        format!("{}.000Z", now.strftime("%Y-%m-%dT%H:%M:%S"))
    }

    fn new_id(&mut self, prefix: &str) -> String {
        // A new object a day and a bit: three years hold about nine hundred of them, after which the days get shorter.
        self.minutes += if self.minutes < 1_400_000 { 1571 } else { 1 };
        self.world.new_id(prefix)
    }

    fn org_id(&self) -> String {
        self.world.org_id()
    }

    fn emit(&mut self, _event: LogEvent) {}

    /// The seeds are taken to exist: the org may still be about to make them.
    fn exists(&self, object_type: &str, _id: &str) -> bool {
        matches!(object_type, "group" | "user" | "app" | "user_type")
    }
}

/// Makes objects one after the other.
struct Seeder<'a, 'w> {
    store: &'a mut ConfigStore,
    world: &'a mut Past<'w>,
    seeds: &'a Seeds,
    random: Random,
}

impl Seeder<'_, '_> {
    /// Makes an object by a call, and gives its id.
    #[expect(
        clippy::panic,
        reason = "a seed that the store refuses is a defect that every test would meet"
    )]
    fn make(&mut self, kind: Kind, parents: &[&str], body: Value) -> String {
        let request = Request {
            method: Method::POST,
            segments: Vec::new(),
            query: Vec::new(),
            body: Some(body),
            base_url: String::new(),
            caller: self.seeds.users.first().cloned().unwrap_or_default(),
        };
        let target = Target {
            resource: kind.resource(),
            parents: parents.iter().map(|&id| id.to_owned()).collect(),
        };
        let answer = self.store.create(self.world, &request, &target);
        match answer.map(|reply| reply.body) {
            Ok(Some(Value::Object(body))) => text(&body, "id").to_owned(),
            Ok(_) => String::new(),
            Err(refusal) => panic!("the seed {:?} was refused: {refusal:?}", request.body),
        }
    }

    /// How many of something: `least`, one more for each `users_each` users, at most `most`.
    fn count(&self, least: usize, users_each: usize, most: usize) -> usize {
        (least + self.seeds.user_count / users_each.max(1)).min(most)
    }

    /// One group, or Everyone where the org has none.
    fn group(&mut self) -> String {
        let everyone = &self.seeds.everyone;
        self.random
            .pick(&self.seeds.groups)
            .unwrap_or(everyone)
            .clone()
    }

    /// One user, if there are any.
    fn user(&mut self) -> Option<String> {
        self.random.pick(&self.seeds.users).cloned()
    }
}

/// A small generator of numbers that is the same everywhere (SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound`.
    fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound.max(1)).unwrap_or(1);
        usize::try_from(self.next() % bound).unwrap_or_default()
    }

    fn pick<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        let place = self.below(of.len());
        of.get(place)
    }
}
