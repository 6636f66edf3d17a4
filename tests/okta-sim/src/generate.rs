//! The shape of a generated org: how many groups, apps and rules there are, and who belongs where.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::{Map, Value, json};

use crate::{
    apps::{App, Apps, fill_defaults},
    assignments::AppGroup,
    clock::OrgClock,
    config::{ConfigStore, Seeds},
    cursor::Cursors,
    groups::{EVERYONE, Group, GroupKind, Groups, MembershipTime},
    ids::IdMint,
    linked::LinkedObjects,
    log::{Actor, SystemLog},
    mappings::Mappings,
    org::Core,
    person::{DEPARTMENTS, GENERATED_FROM_MS, GENERATED_UNTIL_MS, Status},
    random::{Stream, below, hash, index},
    rules::{Rule, RuleStatus, Rules},
    schemas::Schemas,
    settings::OrgSettings,
    user_types::UserTypes,
    users::Users,
};

const TOPICS: &[&str] = &[
    "Payroll",
    "VPN",
    "GitHub",
    "Wiki",
    "Expense",
    "Travel",
    "Onboarding",
    "Releases",
    "Analytics",
    "Incident",
    "Budget",
    "Design",
    "Mobile",
    "Platform",
    "Partners",
    "Training",
    "Audit",
    "Compliance",
    "Field",
    "Events",
];
const KINDS: &[&str] = &[
    "Users",
    "Admins",
    "Readers",
    "Editors",
    "Approvers",
    "Team",
    "Council",
    "Guests",
];
const PRODUCTS: &[&str] = &[
    "Atlas CRM",
    "Beacon Mail",
    "Cedar Wiki",
    "Delta Payroll",
    "Echo Chat",
    "Forge CI",
    "Globe Travel",
    "Harbor Files",
    "Ion Analytics",
    "Jade Helpdesk",
    "Kite Design",
    "Lumen Monitoring",
    "Mosaic HR",
    "Nova Boards",
    "Orbit Expenses",
];

/// Makes the org of `users` users from `seed`.
pub(crate) fn generate(users: u32, seed: u64, clock: OrgClock) -> (Core, ConfigStore) {
    let ids = IdMint::new(seed);
    let types = if users < 20 { 1 } else { 3 };
    let admin = ids.text("00u", 0);
    let mut core = Core {
        seed,
        clock,
        cursors: Cursors::new(seed),
        actor: Actor {
            id: admin.clone(),
            kind: "User",
            name: "Administrator".to_owned(),
        },
        request_uri: String::new(),
        log: SystemLog::default(),
        mails: Vec::new(),
        users: Users::generated(seed, users),
        groups: Groups::default(),
        rules: Rules::default(),
        apps: Apps::default(),
        types: UserTypes::generated(types, &admin),
        schemas: Schemas::generated(types),
        mappings: Mappings::default(),
        linked: LinkedObjects::generated(),
        settings: OrgSettings::generated(),
        search_delay_ms: 0,
        membership_delay_ms: 0,
        ids,
    };
    let people = People::new(&core, users);
    groups(&mut core, &people);
    rules(&mut core, &people);
    apps(&mut core, &people);
    let config = configuration(&mut core, users);
    (core, config)
}

/// The configuration, and the apps' links to its policies.
fn configuration(core: &mut Core, users: u32) -> ConfigStore {
    let writable = core.groups.all().filter(|(_, group)| group.writable());
    let seeds = Seeds {
        user_count: users as usize,
        seed: core.seed,
        everyone: core.group_id(EVERYONE),
        groups: writable.take(200).map(|(n, _)| core.group_id(n)).collect(),
        users: (0..users.min(50)).map(|n| core.user_id(n)).collect(),
        apps: core
            .apps
            .all()
            .filter(|(_, app)| !app.system)
            .take(100)
            .map(|(n, _)| core.app_id(n))
            .collect(),
        user_types: core
            .types
            .numbers()
            .map(|n| core.ids.text("oty", u64::from(n)))
            .collect(),
    };
    let config = ConfigStore::new(core, &seeds);
    let default_access = config.default_policy("ACCESS_POLICY").map(str::to_owned);
    let default_enrollment = config
        .default_policy("PROFILE_ENROLLMENT")
        .map(str::to_owned);
    let access = config.ids("policy_access");
    let seed = core.seed;
    for app in core.apps.all_mut() {
        let roll = hash(seed, 0x706f_6c69, u64::from(app.number));
        let own = access
            .get(index(roll, access.len()))
            .filter(|_| !app.system && roll & 0x300 == 0);
        app.access_policy = own.cloned().or_else(|| default_access.clone());
        app.profile_enrollment.clone_from(&default_enrollment);
    }
    core.apps.default_access_policy = default_access;
    core.apps.default_profile_enrollment = default_enrollment;
    for id in config.ids("idp") {
        core.mappings_for_idp(&id);
    }
    config
}

/// Who can be a member of anything, ascending, and their departments.
struct People {
    members: Vec<u32>,
    departments: Vec<Vec<u32>>,
}

impl People {
    fn new(core: &Core, users: u32) -> Self {
        let mut members = Vec::with_capacity(users as usize);
        let mut departments = vec![Vec::new(); DEPARTMENTS.len()];
        for n in 0..users {
            let Some(person) = core
                .users
                .person(n)
                .filter(|p| p.status() != Status::Deprovisioned)
            else {
                continue;
            };
            members.push(n);
            let at = DEPARTMENTS
                .iter()
                .position(|name| *name == person.department());
            if let Some(list) = at.and_then(|at| departments.get_mut(at)) {
                list.push(n);
            }
        }
        Self {
            members,
            departments,
        }
    }

    /// About `size` members, spread evenly, ascending.
    fn sample(&self, size: usize, stream: &mut Stream) -> Vec<u32> {
        let total = self.members.len();
        if size == 0 || total == 0 {
            return Vec::new();
        }
        let stride = (total / size.min(total)).max(1) as u64;
        let mut out = Vec::with_capacity(size);
        let mut at = index(stream.next(), usize::try_from(stride).unwrap_or(1));
        while let Some(member) = self.members.get(at) {
            out.push(*member);
            at += 1 + usize::try_from(below(stream.next(), 2 * stride - 1)).unwrap_or(0);
        }
        out
    }
}

fn moment(seed: u64, salt: u64, n: u64) -> i64 {
    let span = u64::try_from((GENERATED_UNTIL_MS - GENERATED_FROM_MS) / 1000).unwrap_or(1);
    GENERATED_FROM_MS + i64::try_from(below(hash(seed, salt, n), span)).unwrap_or(0) * 1000
}

/// How many groups an org of `users` has: 5,000 at 100,000.
fn group_count(users: usize) -> u32 {
    u32::try_from(users / 20 + 14).unwrap_or(u32::MAX)
}

fn groups(core: &mut Core, people: &People) {
    let count = group_count(people.members.len());
    let departments = DEPARTMENTS.len().min(people.members.len() / 40);
    // Zipf-like sizes; together with the departments about eight memberships a user.
    let total = people.members.len() as u64 * 9;
    let rest: u64 = (1..=u64::from(count))
        .map(|rank| 1_000_000 / (rank + 9))
        .sum();
    for n in 0..count {
        let mut stream = Stream::new(core.seed, 0x67_0000_0000 + u64::from(n));
        let (kind, name, description, members) = match n {
            EVERYONE => (
                GroupKind::BuiltIn,
                "Everyone".to_owned(),
                "All users in your organization".to_owned(),
                people.members.clone(),
            ),
            1 => (
                GroupKind::BuiltIn,
                "Okta Administrators".to_owned(),
                "Okta manages this group, which contains all administrators in your organization."
                    .to_owned(),
                people.members.iter().take(2).copied().collect(),
            ),
            _ if (n as usize - 2) < departments => {
                let at = n as usize - 2;
                let name = DEPARTMENTS.get(at).copied().unwrap_or_default();
                let members = people.departments.get(at).cloned().unwrap_or_default();
                (
                    GroupKind::Okta,
                    format!("Department {name}"),
                    format!("Everyone in {name}"),
                    members,
                )
            }
            _ => {
                let share = 1_000_000 / (u64::from(n) + 10);
                let size = total * share / rest.max(1);
                let size = usize::try_from(size)
                    .unwrap_or(0)
                    .clamp(1, people.members.len() * 3 / 5 + 1);
                let topic = TOPICS
                    .get(index(stream.next(), TOPICS.len()))
                    .copied()
                    .unwrap_or_default();
                let what = KINDS
                    .get(index(stream.next(), KINDS.len()))
                    .copied()
                    .unwrap_or_default();
                let kind = if n % 33 == 20 {
                    GroupKind::App
                } else {
                    GroupKind::Okta
                };
                let members = people.sample(size, &mut stream);
                (
                    kind,
                    format!("{topic} {what} {n}"),
                    format!("{what} of {topic}"),
                    members,
                )
            }
        };
        let mut profile = Map::new();
        profile.insert("name".to_owned(), Value::String(name));
        profile.insert("description".to_owned(), Value::String(description));
        if n > 1 && n % 5 == 0 {
            profile.insert("ownerTeam".to_owned(), json!(format!("team-{}", n % 17)));
            profile.insert("reviewMonths".to_owned(), json!(3 + n % 4 * 3));
        }
        let created = moment(core.seed, 0x6763, u64::from(n));
        core.groups.add(Group {
            number: n,
            kind,
            profile,
            created,
            last_updated: created,
            membership: MembershipTime::at(GENERATED_UNTIL_MS - i64::from(n) * 1000),
            source: None,
            members,
            joined: HashMap::new(),
        });
    }
}

/// A rule for each department's group, and some that are beyond the simulator or switched off.
fn rules(core: &mut Core, people: &People) {
    let departments = DEPARTMENTS.len().min(people.members.len() / 40);
    for at in 0..departments {
        let group = u32::try_from(at + 2).unwrap_or(0);
        let name = DEPARTMENTS.get(at).copied().unwrap_or_default();
        let made: BTreeSet<(u32, u32)> = people
            .departments
            .get(at)
            .into_iter()
            .flatten()
            .map(|user| (group, *user))
            .collect();
        let expression = format!("user.department==\"{name}\"");
        add_rule(
            core,
            &format!("Department {name}"),
            expression,
            group,
            RuleStatus::Active,
            made,
        );
    }
    let count = core.groups.next_number();
    let okta = |n: u32| {
        core.groups
            .get(n)
            .filter(|group| group.writable())
            .map(|group| group.number)
    };
    let targets: Vec<u32> = (2..count).rev().filter_map(okta).take(4).collect();
    let first = core.group_id(targets.last().copied().unwrap_or(2));
    for (n, group) in targets.iter().enumerate() {
        let expression = match n {
            0 => "String.startsWith(user.title, \"Director\")".to_owned(),
            1 => format!("isMemberOfAnyGroup(\"{first}\")"),
            2 => "user.city==\"Boston\" and user.division==\"EMEA\"".to_owned(),
            _ => "String.stringContains(user.email, \"@acme\")".to_owned(),
        };
        let status = if n == 0 {
            RuleStatus::Active
        } else {
            RuleStatus::Inactive
        };
        add_rule(
            core,
            &format!("Rule {} for group {group}", n + 1),
            expression,
            *group,
            status,
            BTreeSet::new(),
        );
    }
}

fn add_rule(
    core: &mut Core,
    name: &str,
    expression: String,
    group: u32,
    status: RuleStatus,
    made: BTreeSet<(u32, u32)>,
) {
    let created = moment(core.seed, 0x7275, u64::from(group));
    let group_ids = vec![core.group_id(group)];
    core.rules.add(Rule {
        name: name.to_owned(),
        status,
        created,
        last_updated: created,
        expression,
        excluded_users: Vec::new(),
        group_ids,
        made,
    });
}

/// How many apps beside Okta's own: 400 at 100,000 users.
fn app_count(users: usize) -> u32 {
    u32::try_from((8 + users / 255).min(2000)).unwrap_or(2000)
}

fn apps(core: &mut Core, people: &People) {
    for (name, label) in [
        ("saasure", "Okta Admin Console"),
        ("okta_enduser", "Okta Dashboard"),
        ("okta_browser_plugin", "Okta Browser Plugin"),
    ] {
        let doc = json!({"label": label, "signOnMode": "OPENID_CONNECT", "settings": {"oauthClient": {"grant_types": ["authorization_code"], "redirect_uris": ["https://acme.example/enduser/callback"], "response_types": ["code"]}}, "credentials": {"userNameTemplate": {"template": "${source.login}", "type": "BUILT_IN"}, "signing": {"kid": format!("kid-{name}")}, "oauthClient": {"client_id": format!("okta.{name}"), "autoKeyRotation": true, "token_endpoint_auth_method": "none", "pkce_required": true}}});
        add_app(core, name, doc, true);
    }
    let count = app_count(people.members.len());
    let groups = core.groups.next_number();
    let mut direct_left = people.members.len() * 9 / 10;
    for n in 0..count {
        let mut stream = Stream::new(core.seed, 0x61_0000_0000 + u64::from(n));
        let product = PRODUCTS
            .get(n as usize % PRODUCTS.len())
            .copied()
            .unwrap_or_default();
        let label = format!("{product} {}", n + 1);
        let number = add_generated(core, n, &label);
        // Three or more groups; and, over all apps together, nine users in ten one by one.
        let wanted = 3 + index(stream.next(), 6);
        let created = core
            .apps
            .get(number)
            .map_or(GENERATED_FROM_MS, |app| app.created);
        for priority in 0..wanted {
            // The lower of two: low numbers are large groups.
            let choice = stream.next().min(stream.next()) >> 32;
            let group = 2 + u32::try_from((choice * u64::from(groups - 2)) >> 32).unwrap_or(0);
            let link = AppGroup {
                priority: priority as u64,
                profile: Map::new(),
                last_updated: created,
                since: created,
            };
            if let Some(app) = core.apps.get_mut(number) {
                app.groups.entry(group).or_insert(link);
            }
        }
        let share = (direct_left / (count - n) as usize).max(1);
        let users = people.sample(share, &mut stream);
        direct_left = direct_left.saturating_sub(users.len());
        if let Some(app) = core.apps.get_mut(number) {
            app.direct = users;
            if n % 19 == 7 {
                app.active = false;
            }
        }
    }
    let sources: Vec<u32> = core
        .apps
        .all()
        .filter(|(_, app)| !app.system)
        .map(|(n, _)| n)
        .collect();
    let imported: Vec<u32> = core
        .groups
        .all()
        .filter(|(_, group)| group.kind == GroupKind::App)
        .map(|(n, _)| n)
        .collect();
    for n in imported {
        let source = sources.get(n as usize % sources.len().max(1)).copied();
        if let Some(group) = core.groups.get_mut(n) {
            group.source = source;
        }
    }
}

fn add_generated(core: &mut Core, n: u32, label: &str) -> u32 {
    let host = label.to_lowercase().replace(' ', "-");
    let (name, doc) = match n % 4 {
        0 => ("oidc_client".to_owned(), oidc(core, label, &host)),
        1 => (
            format!("acme_{}_{n}", host.replace('-', "")),
            saml(label, &host, n),
        ),
        2 => (
            format!("acme_{}_{n}", host.replace('-', "")),
            json!({"label": label, "signOnMode": "AUTO_LOGIN", "credentials": {"scheme": "EDIT_USERNAME_AND_PASSWORD", "userNameTemplate": {"template": "${source.login}", "type": "BUILT_IN"}}, "settings": {"signOn": {"loginUrl": format!("https://{host}.example/login"), "redirectUrl": null}}}),
        ),
        _ => (
            "bookmark".to_owned(),
            json!({"label": label, "signOnMode": "BOOKMARK", "credentials": {"userNameTemplate": {"template": "${source.login}", "type": "BUILT_IN"}}, "settings": {"app": {"requestIntegration": false, "url": format!("https://{host}.example/")}}}),
        ),
    };
    add_app(core, &name, doc, false)
}

fn oidc(core: &Core, label: &str, host: &str) -> Value {
    let own = core.app_id(core.apps.next_number());
    json!({
        "label": label, "signOnMode": "OPENID_CONNECT",
        "credentials": {
            "userNameTemplate": {"template": "${source.login}", "type": "BUILT_IN"},
            "signing": {"kid": core.ids.text("kid", u64::from(core.apps.next_number()))},
            "oauthClient": {"autoKeyRotation": true, "client_id": own, "token_endpoint_auth_method": "client_secret_basic", "pkce_required": true},
        },
        "settings": {"oauthClient": {
            "redirect_uris": [format!("https://{host}.example/callback")], "response_types": ["code"],
            "grant_types": ["authorization_code", "refresh_token"], "application_type": "web",
        }},
    })
}

fn saml(label: &str, host: &str, n: u32) -> Value {
    json!({
        "label": label, "signOnMode": "SAML_2_0",
        "credentials": {"userNameTemplate": {"template": "${source.login}", "type": "BUILT_IN"}, "signing": {"kid": format!("kid-saml-{n}")}},
        "settings": {"signOn": {
            "ssoAcsUrl": format!("https://{host}.example/saml/acs"), "audience": format!("https://{host}.example/saml"),
            "recipient": format!("https://{host}.example/saml/acs"), "destination": format!("https://{host}.example/saml/acs"),
            "attributeStatements": [{"type": "GROUP", "name": "groups", "namespace": "urn:oasis:names:tc:SAML:2.0:attrname-format:unspecified", "filterType": "REGEX", "filterValue": ".*"}],
        }},
    })
}

fn add_app(core: &mut Core, name: &str, doc: Value, system: bool) -> u32 {
    let n = core.apps.next_number();
    let created = moment(core.seed, 0x6170, u64::from(n));
    let mut doc = doc.as_object().cloned().unwrap_or_default();
    fill_defaults(&mut doc, name);
    let saml = doc.get("signOnMode").and_then(Value::as_str) == Some("SAML_2_0");
    core.apps.add(App {
        number: n,
        name: name.to_owned(),
        active: true,
        created,
        last_updated: created,
        active_since: created,
        system,
        doc,
        access_policy: None,
        profile_enrollment: None,
        groups: BTreeMap::new(),
        direct: Vec::new(),
        written: HashMap::new(),
    });
    if !system {
        core.schemas.app_created(n, created);
        if saml {
            core.schemas.app_attributes(n);
        }
        core.mappings_for_app(n);
    }
    n
}
