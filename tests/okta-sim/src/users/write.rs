//! Creating, replacing and updating users.

use serde_json::{Map, Value};

use crate::{
    log::target,
    org::Core,
    person::{Status, Times},
    response::{Outcome, Response, refusal},
    users::{
        User,
        api::{body, single},
        login_of,
    },
    wire::{Refusal, Request},
};

/// How many groups a create may name.
const GROUP_IDS_MAX: usize = 20;

/// `POST /api/v1/users`.
pub(crate) fn create(core: &mut Core, request: &Request) -> Outcome {
    let body = body(request)?;
    let activate = flag(request, "activate", true)?;
    let provider_given = flag(request, "provider", false)?;
    let mut profile = profile_of(body)?;
    let user_type = type_in(core, body)?.unwrap_or(0);
    core.schemas.check_user(user_type, &mut profile)?;
    check_login(core, &profile, None)?;
    let groups = group_ids(core, body)?;
    let credentials = Credentials::read(body)?;
    if provider_given && credentials.has_password {
        return Err(Refusal::validation(
            "credentials",
            "A user of another provider can have no password.",
        ));
    }
    let next_login = match request.param("nextLogin") {
        None => false,
        Some("changePassword") if !activate => {
            return Err(refusal(
                400,
                "E0000124",
                "nextLogin requires activate=true.",
            ));
        }
        Some("changePassword") if !credentials.has_password => {
            return Err(refusal(400, "E0000125", "nextLogin requires a password."));
        }
        Some("changePassword") => true,
        Some(_) => return Err(Refusal::validation("nextLogin", "The value is not valid.")),
    };
    let status = match (activate, credentials.has_password || provider_given) {
        (false, _) => Status::Staged,
        (true, true) if next_login => Status::PasswordExpired,
        (true, true) => Status::Active,
        (true, false) => Status::Provisioned,
    };
    let now = core.clock.second();
    let user = User {
        status,
        times: Times {
            created: now,
            activated: activate.then_some(now),
            status_changed: activate.then_some(now),
            last_login: None,
            last_updated: now,
            password_changed: credentials.has_password.then_some(now),
        },
        user_type,
        origin: origin(&profile),
        profile,
        has_password: credentials.has_password,
        provider: if provider_given {
            credentials.provider
        } else {
            ("OKTA".to_owned(), "OKTA".to_owned())
        },
        recovery_question: credentials.question,
    };
    let n = core.users.places();
    core.put_user(n, user);
    core.user_event("user.lifecycle.create", n);
    core.enter_everyone(n);
    if activate {
        core.user_event("user.lifecycle.activate", n);
        if status == Status::Provisioned {
            core.mail(n, "activation");
        }
    }
    for group in groups {
        core.join(group, n);
    }
    core.apply_rules_to(n);
    Ok(Response::text(200, single(core, request, n)?))
}

/// `PUT /api/v1/users/{id}`: what is not given is lost.
pub(crate) fn replace(core: &mut Core, request: &Request, n: u32) -> Outcome {
    write(core, request, n, true)
}

/// `POST /api/v1/users/{id}`: what is not given stays.
pub(crate) fn update(core: &mut Core, request: &Request, n: u32) -> Outcome {
    write(core, request, n, false)
}

fn write(core: &mut Core, request: &Request, n: u32, replaces: bool) -> Outcome {
    let body = body(request)?;
    let mut user = changeable(core, n)?;
    let mut profile = match (replaces, body.get("profile")) {
        (true, _) => profile_of(body)?,
        (false, None) => user.profile.clone(),
        (false, Some(_)) => {
            let mut merged = user.profile.clone();
            merged.extend(profile_of(body)?);
            merged
        }
    };
    let new_type = type_in(core, body)?;
    if new_type.is_some_and(|new| new != user.user_type) && !replaces {
        return Err(Refusal::validation(
            "type",
            "The user type can be changed by PUT only.",
        ));
    }
    let retyped = new_type.is_some_and(|new| new != user.user_type);
    user.user_type = new_type.unwrap_or(user.user_type);
    core.schemas.check_user(user.user_type, &mut profile)?;
    check_login(core, &profile, Some(n))?;
    let credentials = Credentials::read(body)?;
    let now = core.clock.second();
    if credentials.has_password {
        user.has_password = true;
        user.times.password_changed = Some(now);
    }
    if credentials.question.is_some() {
        user.recovery_question = credentials.question;
    }
    let renamed = user.profile != profile;
    user.profile = profile;
    user.times.last_updated = now;
    core.put_user(n, user);
    if renamed || replaces {
        core.user_event("user.account.update_profile", n);
    }
    if credentials.has_password {
        core.user_event("user.account.update_password", n);
    }
    if retyped {
        core.user_event("user.account.update_user_type", n);
    }
    core.apply_rules_to(n);
    Ok(Response::text(200, single(core, request, n)?))
}

/// A copy of a user that may be written to.
fn changeable(core: &Core, n: u32) -> Result<User, Refusal> {
    let user = core
        .users
        .get(n)
        .ok_or_else(|| Refusal::not_found(&core.user_id(n), "User"))?;
    if user.status() == Status::Deprovisioned {
        // Assumed: with the org option off, a deprovisioned user's profile cannot be written.
        return Err(refusal(
            403,
            "E0000038",
            "This operation is not allowed in the user's current status.",
        ));
    }
    Ok(user.to_user(&core.ids))
}

fn profile_of(body: &Map<String, Value>) -> Result<Map<String, Value>, Refusal> {
    let mut profile = body
        .get("profile")
        .and_then(Value::as_object)
        .cloned()
        .ok_or_else(|| Refusal::validation("profile", "The field cannot be left blank"))?;
    for key in ["login", "email"] {
        if let Some(text) = profile.get(key).and_then(Value::as_str) {
            let trimmed = text.trim().to_owned();
            profile.insert(key.to_owned(), Value::String(trimmed));
        }
    }
    Ok(profile)
}

fn origin(profile: &Map<String, Value>) -> [String; 4] {
    ["login", "firstName", "lastName", "email"].map(|key| {
        profile
            .get(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    })
}

fn check_login(core: &Core, profile: &Map<String, Value>, of: Option<u32>) -> Result<(), Refusal> {
    let login = login_of(profile);
    if !login.contains('@') {
        return Err(Refusal::validation(
            "login",
            "login: Username must be in the form of an email address",
        ));
    }
    match core.users.by_login(login) {
        Some(taken) if Some(taken) != of => Err(Refusal {
            status: 400,
            code: "E0000001",
            summary: "Api validation failed: login".to_owned(),
            causes: vec![
                "login: An object with this field already exists in the current organization"
                    .to_owned(),
            ],
        }),
        _ => Ok(()),
    }
}

fn type_in(core: &Core, body: &Map<String, Value>) -> Result<Option<u32>, Refusal> {
    let Some(kind) = body.get("type") else {
        return Ok(None);
    };
    let id = kind.get("id").and_then(Value::as_str).unwrap_or_default();
    if id == "default" {
        return Ok(Some(0));
    }
    core.find_user_type(id)
        .map(Some)
        .ok_or_else(|| Refusal::validation("type", "The user type does not exist."))
}

fn group_ids(core: &Core, body: &Map<String, Value>) -> Result<Vec<u32>, Refusal> {
    let Some(ids) = body.get("groupIds").and_then(Value::as_array) else {
        return Ok(Vec::new());
    };
    if ids.len() > GROUP_IDS_MAX {
        return Err(Refusal::validation(
            "groupIds",
            "At most 20 groups can be given.",
        ));
    }
    ids.iter()
        .map(|id| {
            let id = id.as_str().unwrap_or_default();
            core.find_group(id)
                .filter(|n| core.groups.get(*n).is_some_and(|group| group.writable()))
                .ok_or_else(|| {
                    Refusal::validation(
                        "groupIds",
                        "The group does not exist or cannot be assigned.",
                    )
                })
        })
        .collect()
}

/// What a write says about credentials.
struct Credentials {
    has_password: bool,
    question: Option<String>,
    provider: (String, String),
}

impl Credentials {
    fn read(body: &Map<String, Value>) -> Result<Self, Refusal> {
        let credentials = body.get("credentials").cloned().unwrap_or_default();
        let password = credentials.get("password").cloned().unwrap_or_default();
        let has_password = ["value", "hash", "hook"]
            .iter()
            .any(|key| password.get(*key).is_some_and(|value| !value.is_null()));
        if password
            .get("value")
            .and_then(Value::as_str)
            .is_some_and(|text| text.len() < 8)
        {
            return Err(Refusal::validation(
                "password",
                "Password requirements were not met. Password requirements: at least 8 characters.",
            ));
        }
        let text =
            |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or("OKTA").to_owned();
        let provider = credentials.get("provider").cloned().unwrap_or_default();
        Ok(Self {
            has_password,
            question: credentials
                .pointer("/recovery_question/question")
                .and_then(Value::as_str)
                .map(str::to_owned),
            provider: (text(provider.get("type")), text(provider.get("name"))),
        })
    }
}

/// A truth-valued query parameter.
pub(crate) fn flag(request: &Request, name: &str, default: bool) -> Result<bool, Refusal> {
    match request.param(name) {
        None => Ok(default),
        Some(text) if text.eq_ignore_ascii_case("true") => Ok(true),
        Some(text) if text.eq_ignore_ascii_case("false") => Ok(false),
        Some(_) => Err(Refusal::validation(
            name,
            "The value must be true or false.",
        )),
    }
}

impl Core {
    /// Keeps a user; the search index sees it after its delay.
    pub(crate) fn put_user(&mut self, n: u32, user: User) {
        let now = self.clock.now();
        self.users.put(n, user, now + self.search_delay_ms, now);
    }

    /// Removes a user for good.
    pub(crate) fn erase_user(&mut self, n: u32) {
        let now = self.clock.now();
        self.users.erase(n, now + self.search_delay_ms, now);
    }

    /// Adds an event about a user.
    pub(crate) fn user_event(&mut self, event_type: &str, n: u32) {
        let subject = self.user_target(n);
        self.emit_event(event_type, vec![subject]);
    }

    /// A user as an event's target.
    pub(crate) fn user_target(&self, n: u32) -> crate::wire::LogTarget {
        let login = self
            .users
            .get(n)
            .map(|user| user.login())
            .unwrap_or_default();
        target("User", &self.user_id(n), &login)
    }
}
