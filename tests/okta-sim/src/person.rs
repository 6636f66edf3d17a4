//! The people of a generated org: every attribute of user number `n` follows from the seed and `n`.
//!
//! Nothing is stored for a user nobody has written to: [`Person`] is computed when it is asked for.

use serde_json::{Map, Value};

use crate::{
    ids::IdMint,
    json::{push_escaped, push_number},
    random::{below, hash, mix, pick},
};

/// The departments; group rules assign by them.
pub(crate) const DEPARTMENTS: &[&str] = &[
    "Engineering",
    "Sales",
    "Customer Support",
    "Finance",
    "Human Resources",
    "Marketing",
    "Legal",
    "Operations",
    "Product",
    "Security",
    "Facilities",
    "Research",
    "Procurement",
    "Quality",
    "Data Science",
    "Logistics",
];
const FIRST_NAMES: &[&str] = &[
    "Ada", "Bruno", "Chloe", "Dmitri", "Elena", "Farid", "Greta", "Hiro", "Ines", "Jonas", "Keiko",
    "Liam", "Maya", "Nils", "Olga", "Pablo", "Quinn", "Rosa", "Samir", "Tara", "Umar", "Vera",
    "Wendy", "Xavier", "Yasmin", "Zoltan", "Amelie", "Bjarne", "Carmen", "Derek", "Esther",
    "Fiona", "Gustavo", "Hannah", "Ibrahim", "Julia", "Kofi", "Lucia", "Mateo", "Nadia", "Oscar",
    "Priya", "Rafael", "Svetlana", "Thomas", "Ursula", "Victor", "Winston", "Ximena", "Yusuf",
    "Zara", "Aiko", "Benedikt", "Camille", "Daniel", "Emeka",
];
const LAST_NAMES: &[&str] = &[
    "Abbott",
    "Bauer",
    "Castillo",
    "Dubois",
    "Eriksen",
    "Fischer",
    "Garcia",
    "Haddad",
    "Ivanova",
    "Jensen",
    "Kowalski",
    "Lindqvist",
    "Moreau",
    "Nakamura",
    "Okafor",
    "Petrov",
    "Quiroga",
    "Rossi",
    "Schneider",
    "Tanaka",
    "Ueda",
    "Virtanen",
    "Walker",
    "Xu",
    "Yilmaz",
    "Zimmermann",
    "Andersson",
    "Brennan",
    "Chaudhry",
    "Delgado",
    "Engel",
    "Fontaine",
    "Greenwood",
    "Hughes",
    "Iqbal",
    "Johansson",
    "Keller",
    "Larsen",
    "Mbeki",
    "Novak",
    "O'Connor",
    "Pereira",
    "Reyes",
    "Sato",
    "Thompson",
    "Underwood",
    "Vargas",
    "Weiss",
    "Yamada",
    "Zhang",
];
const TITLES: &[&str] = &[
    "Software Engineer",
    "Senior Software Engineer",
    "Account Executive",
    "Support Specialist",
    "Financial Analyst",
    "Recruiter",
    "Product Manager",
    "Counsel",
    "Operations Lead",
    "Security Analyst",
    "Data Engineer",
    "Marketing Manager",
    "Director",
    "Vice President",
    "Office Coordinator",
    "Procurement Officer",
];
const CITIES: &[(&str, &str, &str, &str)] = &[
    ("Lisbon", "Lisboa", "PT", "Europe/Lisbon"),
    ("Boston", "MA", "US", "America/New_York"),
    ("Austin", "TX", "US", "America/Chicago"),
    ("Berlin", "BE", "DE", "Europe/Berlin"),
    ("Zürich", "ZH", "CH", "Europe/Zurich"),
    ("Toronto", "ON", "CA", "America/Toronto"),
    ("São Paulo", "SP", "BR", "America/Sao_Paulo"),
    ("Nairobi", "NBO", "KE", "Africa/Nairobi"),
    ("Osaka", "OSK", "JP", "Asia/Tokyo"),
    ("Sydney", "NSW", "AU", "Australia/Sydney"),
    ("Kraków", "MA", "PL", "Europe/Warsaw"),
    ("Denver", "CO", "US", "America/Denver"),
];
const STREETS: &[&str] = &[
    "Harbour Street",
    "Mill Lane",
    "Station Road",
    "Cedar Avenue",
    "Market Square",
    "Canal Walk",
    "Hillcrest Drive",
    "Foundry Row",
    "Orchard Way",
    "Bridge Street",
    "Sunset Boulevard",
    "College Green",
];
const DIVISIONS: &[&str] = &["EMEA", "Americas", "APAC", "Global Functions"];
const SIZES: &[&str] = &["S", "M", "L", "XL"];
const PROJECTS: &[&str] = &[
    "atlas", "borealis", "cobalt", "dynamo", "ember", "falcon", "granite", "horizon",
];
/// The mail domain of every generated user.
pub(crate) const MAIL_DOMAIN: &str = "acme.example";
/// 2019-01-01: no generated object is older.
pub(crate) const GENERATED_FROM_MS: i64 = 1_546_300_800_000;
/// 2025-06-01: no generated object is younger.
pub(crate) const GENERATED_UNTIL_MS: i64 = 1_748_736_000_000;

/// A user's status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Staged,
    Provisioned,
    Active,
    Recovery,
    PasswordExpired,
    LockedOut,
    Suspended,
    Deprovisioned,
}

impl Status {
    /// As the API writes it.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Staged => "STAGED",
            Self::Provisioned => "PROVISIONED",
            Self::Active => "ACTIVE",
            Self::Recovery => "RECOVERY",
            Self::PasswordExpired => "PASSWORD_EXPIRED",
            Self::LockedOut => "LOCKED_OUT",
            Self::Suspended => "SUSPENDED",
            Self::Deprovisioned => "DEPROVISIONED",
        }
    }
}

/// When the things that happen to a user happened, in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Times {
    pub(crate) created: i64,
    pub(crate) activated: Option<i64>,
    pub(crate) status_changed: Option<i64>,
    pub(crate) last_login: Option<i64>,
    pub(crate) last_updated: i64,
    pub(crate) password_changed: Option<i64>,
}

/// Receives a profile, attribute by attribute.
pub(crate) trait ProfileSink {
    /// A text attribute, in parts to be joined.
    fn text(&mut self, key: &str, parts: &[&str]);
    /// A text attribute that is a user's id.
    fn user_id(&mut self, key: &str, ordinal: u32);
    /// A whole number.
    fn number(&mut self, key: &str, value: u64);
    /// A truth value.
    fn flag(&mut self, key: &str, value: bool);
    /// A list of texts.
    fn list(&mut self, key: &str, items: &[&str]);
}

/// One generated user.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Person {
    seed: u64,
    users: u32,
    pub(crate) ordinal: u32,
    base: u64,
}

impl Person {
    /// User number `ordinal` of an org of `users`.
    pub(crate) fn new(seed: u64, users: u32, ordinal: u32) -> Self {
        Self {
            seed,
            users,
            ordinal,
            base: hash(seed, 0x7573_6572, u64::from(ordinal)),
        }
    }

    fn roll(&self, salt: u64) -> u64 {
        mix(self.base ^ salt)
    }

    /// The status: mostly ACTIVE; from 20 users on every status occurs.
    pub(crate) fn status(&self) -> Status {
        const EACH: [Status; 7] = [
            Status::Deprovisioned,
            Status::Suspended,
            Status::Staged,
            Status::Provisioned,
            Status::LockedOut,
            Status::PasswordExpired,
            Status::Recovery,
        ];
        if self.users >= 20 && (3..10).contains(&self.ordinal) {
            return EACH
                .get(self.ordinal as usize - 3)
                .copied()
                .unwrap_or(Status::Active);
        }
        if self.ordinal < 20 {
            return Status::Active;
        }
        match below(self.roll(1), 1000) {
            0..50 => Status::Deprovisioned,
            50..70 => Status::Suspended,
            70..85 => Status::Staged,
            85..100 => Status::Provisioned,
            100..107 => Status::LockedOut,
            107..115 => Status::PasswordExpired,
            115..120 => Status::Recovery,
            _ => Status::Active,
        }
    }

    /// Which user type: 0 is the default one.
    pub(crate) fn user_type(&self) -> u32 {
        if self.users < 20 {
            return 0;
        }
        match below(self.roll(2), 100) {
            0..4 => 1,
            4..6 => 2,
            _ => 0,
        }
    }

    /// When what happened to this user happened.
    pub(crate) fn times(&self) -> Times {
        let span = u64::try_from((GENERATED_UNTIL_MS - GENERATED_FROM_MS) / 1000).unwrap_or(1);
        let after = |from: i64, salt: u64| {
            let left = u64::try_from((GENERATED_UNTIL_MS - from) / 1000)
                .unwrap_or(1)
                .max(1);
            from + i64::try_from(below(self.roll(salt), left)).unwrap_or(0) * 1000
        };
        let created =
            GENERATED_FROM_MS + i64::try_from(below(self.roll(3), span)).unwrap_or(0) * 1000;
        let status = self.status();
        let activated = (status != Status::Staged).then_some(created + 2000);
        let changed = match status {
            Status::Staged => None,
            Status::Active | Status::Provisioned => activated,
            _ => Some(after(created, 4)),
        };
        let used = !matches!(status, Status::Staged | Status::Provisioned);
        Times {
            created,
            activated,
            status_changed: changed,
            last_login: used.then(|| after(created, 5)),
            last_updated: changed.unwrap_or(created).max(after(created, 6)),
            password_changed: used.then(|| after(created, 7)),
        }
    }

    /// The first name.
    pub(crate) fn first_name(&self) -> &'static str {
        pick(FIRST_NAMES, self.roll(8))
    }

    /// The last name.
    pub(crate) fn last_name(&self) -> &'static str {
        pick(LAST_NAMES, self.roll(9))
    }

    /// The department.
    pub(crate) fn department(&self) -> &'static str {
        pick(DEPARTMENTS, self.roll(10))
    }

    /// The login, which is also the e-mail address; it ends in the user's number, so no two are alike.
    pub(crate) fn login(&self) -> String {
        let mut out = String::with_capacity(40);
        for name in [self.first_name(), ".", self.last_name()] {
            out.extend(
                name.chars()
                    .filter(|c| c.is_ascii_alphanumeric() || *c == '.')
                    .map(|c| c.to_ascii_lowercase()),
            );
        }
        out.push('.');
        push_number(&mut out, u64::from(self.ordinal));
        out.push('@');
        out.push_str(MAIL_DOMAIN);
        out
    }

    /// The number in a login made by [`Person::login`].
    pub(crate) fn ordinal_in(login: &str) -> Option<u32> {
        let (local, domain) = login.split_once('@')?;
        if !domain.eq_ignore_ascii_case(MAIL_DOMAIN) {
            return None;
        }
        local.rsplit_once('.')?.1.parse().ok()
    }

    /// Gives the whole profile to `sink`.
    pub(crate) fn profile(&self, sink: &mut impl ProfileSink) {
        let first = self.first_name();
        let last = self.last_name();
        let login = self.login();
        let number = Digits::new(u64::from(self.ordinal), 6);
        let (city, state, country, zone) = CITIES
            .get(crate::random::index(self.roll(11), CITIES.len()))
            .copied()
            .unwrap_or_default();
        let house = Digits::new(1 + below(self.roll(12), 899), 1);
        let zip = Digits::new(below(self.roll(13), 90_000) + 10_000, 5);
        let phone = Digits::new(below(self.roll(14), 10_000_000), 7);
        let phone2 = Digits::new(below(self.roll(15), 10_000_000), 7);
        let cost = Digits::new(1000 + below(self.roll(16), 400), 4);
        let street = pick(STREETS, self.roll(17));
        let department = self.department();
        sink.text("login", &[&login]);
        sink.text("email", &[&login]);
        sink.text("firstName", &[first]);
        sink.text("lastName", &[last]);
        sink.text("displayName", &[first, " ", last]);
        sink.text("nickName", &[first]);
        sink.text("secondEmail", &[first, number.text(), "@home.example"]);
        sink.text("mobilePhone", &["+1 555 ", phone.text()]);
        sink.text("primaryPhone", &["+1 555 ", phone2.text()]);
        sink.text("title", &[pick(TITLES, self.roll(18))]);
        sink.text("department", &[department]);
        sink.text("division", &[pick(DIVISIONS, self.roll(19))]);
        sink.text("organization", &["Acme Corporation"]);
        sink.text("costCenter", &["CC-", cost.text()]);
        sink.text("employeeNumber", &["E", number.text()]);
        sink.text(
            "userType",
            &[if self.user_type() == 0 {
                "Employee"
            } else {
                "External"
            }],
        );
        sink.text("streetAddress", &[house.text(), " ", street]);
        sink.text("city", &[city]);
        sink.text("state", &[state]);
        sink.text("zipCode", &[zip.text()]);
        sink.text("countryCode", &[country]);
        sink.text(
            "postalAddress",
            &[
                house.text(),
                " ",
                street,
                ", ",
                zip.text(),
                " ",
                city,
                ", ",
                country,
            ],
        );
        sink.text("preferredLanguage", &["en"]);
        sink.text("locale", &["en_US"]);
        sink.text("timezone", &[zone]);
        if self.ordinal > 0 {
            let manager = Self::new(self.seed, self.users, self.ordinal / 8);
            sink.user_id("managerId", manager.ordinal);
            sink.text("manager", &[manager.first_name(), " ", manager.last_name()]);
        }
        sink.text("badgeNumber", &["B-", cost.text(), "-", number.text()]);
        sink.text("shirtSize", &[pick(SIZES, self.roll(20))]);
        sink.number("jobLevel", 1 + below(self.roll(21), 12));
        sink.flag("remoteWorker", self.roll(22) & 3 == 0);
        sink.list(
            "projects",
            &[pick(PROJECTS, self.roll(23)), pick(PROJECTS, self.roll(24))],
        );
    }
}

/// A number as text, without an allocation.
struct Digits {
    buffer: [u8; 20],
    start: usize,
}

impl Digits {
    fn new(value: u64, width: usize) -> Self {
        let mut buffer = [b'0'; 20];
        let mut start = buffer.len();
        let mut rest = value;
        while rest > 0 || buffer.len() - start < width {
            start -= 1;
            if let Some(slot) = buffer.get_mut(start) {
                *slot = b'0' + u8::try_from(rest % 10).unwrap_or(0);
            }
            rest /= 10;
        }
        Self { buffer, start }
    }

    fn text(&self) -> &str {
        self.buffer
            .get(self.start..)
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .unwrap_or("")
    }
}

/// Writes a profile as JSON members.
pub(crate) struct JsonProfile<'a> {
    out: &'a mut String,
    ids: &'a IdMint,
    first: bool,
}

impl<'a> JsonProfile<'a> {
    /// Appends to `out`, which has just opened the object.
    pub(crate) fn new(out: &'a mut String, ids: &'a IdMint) -> Self {
        Self {
            out,
            ids,
            first: true,
        }
    }

    fn key(&mut self, key: &str) {
        if self.first {
            self.first = false;
            self.out.push('"');
        } else {
            self.out.push_str(",\"");
        }
        self.out.push_str(key);
        self.out.push_str("\":");
    }
}

impl ProfileSink for JsonProfile<'_> {
    fn text(&mut self, key: &str, parts: &[&str]) {
        self.key(key);
        self.out.push('"');
        for part in parts {
            push_escaped(self.out, part);
        }
        self.out.push('"');
    }

    fn user_id(&mut self, key: &str, ordinal: u32) {
        self.key(key);
        self.out.push('"');
        self.ids.push(self.out, "00u", u64::from(ordinal));
        self.out.push('"');
    }

    fn number(&mut self, key: &str, value: u64) {
        self.key(key);
        push_number(self.out, value);
    }

    fn flag(&mut self, key: &str, value: bool) {
        self.key(key);
        self.out.push_str(if value { "true" } else { "false" });
    }

    fn list(&mut self, key: &str, items: &[&str]) {
        self.key(key);
        for (n, item) in items.iter().enumerate() {
            self.out.push_str(if n == 0 { "[\"" } else { "\",\"" });
            push_escaped(self.out, item);
        }
        self.out.push_str("\"]");
    }
}

/// Collects a profile as a tree.
pub(crate) struct TreeProfile<'a> {
    ids: &'a IdMint,
    /// The profile so far.
    pub(crate) map: Map<String, Value>,
}

impl<'a> TreeProfile<'a> {
    /// An empty profile.
    pub(crate) fn new(ids: &'a IdMint) -> Self {
        Self {
            ids,
            map: Map::new(),
        }
    }
}

impl ProfileSink for TreeProfile<'_> {
    fn text(&mut self, key: &str, parts: &[&str]) {
        self.map
            .insert(key.to_owned(), Value::String(parts.concat()));
    }

    fn user_id(&mut self, key: &str, ordinal: u32) {
        self.map.insert(
            key.to_owned(),
            Value::String(self.ids.text("00u", u64::from(ordinal))),
        );
    }

    fn number(&mut self, key: &str, value: u64) {
        self.map.insert(key.to_owned(), Value::from(value));
    }

    fn flag(&mut self, key: &str, value: bool) {
        self.map.insert(key.to_owned(), Value::Bool(value));
    }

    fn list(&mut self, key: &str, items: &[&str]) {
        self.map.insert(key.to_owned(), Value::from(items.to_vec()));
    }
}
