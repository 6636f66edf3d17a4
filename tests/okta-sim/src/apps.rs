//! Applications.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value, json};

use crate::{
    assignments::{AppGroup, AppUser},
    clock::time_text,
    cursor::{PageSizes, Window},
    filter::{Filter, Operator},
    json::{ArrayWriter, push_value},
    log::target,
    org::Core,
    response::{Outcome, Response, forbidden, refusal},
    users::body,
    wire::{LogTarget, Refusal, Request},
};

/// Page sizes of the app list.
pub(crate) const SIZES: PageSizes = PageSizes::new(20, 200);
/// The members of an app that a write cannot set.
const READ_ONLY: &[&str] = &[
    "id",
    "status",
    "created",
    "lastUpdated",
    "features",
    "orn",
    "_links",
    "_embedded",
    "universalLogout",
    "expressConfiguration",
];
/// The sign-on modes an app can have.
const SIGN_ON_MODES: &[&str] = &[
    "AUTO_LOGIN",
    "BASIC_AUTH",
    "BOOKMARK",
    "BROWSER_PLUGIN",
    "OPENID_CONNECT",
    "SAML_1_1",
    "SAML_2_0",
    "SECURE_PASSWORD_STORE",
    "WS_FEDERATION",
];

/// One application.
#[derive(Debug, Clone)]
pub(crate) struct App {
    pub(crate) number: u32,
    /// The template key.
    pub(crate) name: String,
    pub(crate) active: bool,
    pub(crate) created: i64,
    pub(crate) last_updated: i64,
    /// When it was last activated: its group-derived assignments are not older.
    pub(crate) active_since: i64,
    /// Belongs to Okta: never created nor deleted.
    pub(crate) system: bool,
    /// What a write sets: label, signOnMode, settings, credentials, visibility, accessibility, …
    pub(crate) doc: Map<String, Value>,
    pub(crate) access_policy: Option<String>,
    pub(crate) profile_enrollment: Option<String>,
    pub(crate) groups: BTreeMap<u32, AppGroup>,
    /// The users assigned one by one, ascending.
    pub(crate) direct: Vec<u32>,
    /// What was written about assigned users.
    pub(crate) written: HashMap<u32, AppUser>,
}

impl App {
    /// How users sign in to it.
    pub(crate) fn sign_on_mode(&self) -> &str {
        self.doc
            .get("signOnMode")
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    /// Its name for people.
    pub(crate) fn label(&self) -> &str {
        self.doc
            .get("label")
            .and_then(Value::as_str)
            .unwrap_or_default()
    }
}

/// All apps, by number; one that is gone leaves its place empty.
#[derive(Debug, Default)]
pub(crate) struct Apps {
    places: Vec<Option<App>>,
    /// The order in which lists show them.
    pub(crate) order: Vec<u32>,
    /// The access policy a new app gets.
    pub(crate) default_access_policy: Option<String>,
    /// The profile-enrolment policy a new app gets.
    pub(crate) default_profile_enrollment: Option<String>,
}

impl Apps {
    /// The app with this number.
    pub(crate) fn get(&self, n: u32) -> Option<&App> {
        self.places.get(n as usize)?.as_ref()
    }

    /// The app with this number, to change it.
    pub(crate) fn get_mut(&mut self, n: u32) -> Option<&mut App> {
        self.places.get_mut(n as usize)?.as_mut()
    }

    /// All that are there, by number.
    pub(crate) fn all(&self) -> impl Iterator<Item = (u32, &App)> {
        self.places.iter().flatten().map(|app| (app.number, app))
    }

    /// All that are there, to change them.
    pub(crate) fn all_mut(&mut self) -> impl Iterator<Item = &mut App> {
        self.places.iter_mut().flatten()
    }

    /// The number the next app gets.
    pub(crate) fn next_number(&self) -> u32 {
        u32::try_from(self.places.len()).unwrap_or(u32::MAX)
    }

    /// Adds an app, whose number must be the next.
    pub(crate) fn add(&mut self, app: App) {
        self.order.push(app.number);
        self.places.push(Some(app));
    }
}

/// `GET /api/v1/apps`.
pub(crate) fn list(core: &Core, request: &Request) -> Outcome {
    let filter = request.param("filter").map(parse_filter).transpose()?;
    let prefix = request.param("q").map(str::to_lowercase);
    let window = Window::read(core, request, SIZES)?;
    let start = usize::try_from(window.start).unwrap_or(usize::MAX);
    let mut array = ArrayWriter::with_room(window.limit * 3000);
    let mut count = 0;
    let mut next = None;
    for (place, n) in core.apps.order.iter().enumerate().skip(start) {
        let Some(app) = core.apps.get(*n) else {
            continue;
        };
        let wanted = filter
            .as_ref()
            .is_none_or(|f| f.holds(&|name: &str| core.app_attribute(app, name)))
            && prefix.as_ref().is_none_or(|q| {
                app.label().to_lowercase().starts_with(q) || app.name.to_lowercase().starts_with(q)
            });
        if !wanted {
            continue;
        }
        if count == window.limit {
            next = Some(place as u64);
            break;
        }
        push_value(array.item(), &core.app_value(app, &request.base_url));
        count += 1;
    }
    Ok(Response::list(
        array.finish(),
        window.page(core, request, next),
    ))
}

fn parse_filter(text: &str) -> Result<Filter, Refusal> {
    const FILTERABLE: &[&str] = &[
        "id",
        "status",
        "name",
        "credentials.signing.kid",
        "settings.slo.enabled",
        "user.id",
        "group.id",
    ];
    let filter = Filter::parse(text).filter(|filter| {
        filter
            .comparisons()
            .iter()
            .all(|(name, operator)| FILTERABLE.contains(name) && *operator == Some(Operator::Equal))
    });
    filter.ok_or_else(|| refusal(400, "E0000053", "Invalid filter"))
}

/// `POST /api/v1/apps`.
pub(crate) fn create(core: &mut Core, request: &Request) -> Outcome {
    let activate = crate::users::flag(request, "activate", true)?;
    let mut doc = writable(body(request)?);
    let label = required_text(&doc, "label", 100)?;
    let mode = required_text(&doc, "signOnMode", 100)?;
    if !SIGN_ON_MODES.contains(&mode.as_str()) {
        return Err(Refusal::validation(
            "signOnMode",
            "The sign-on mode is not valid.",
        ));
    }
    let given_name = doc
        .remove("name")
        .and_then(|name| name.as_str().map(str::to_owned));
    let name = template_name(core, &mode, given_name, &label)?;
    check_settings(&mode, &name, &doc)?;
    let n = core.apps.next_number();
    let secret = settle_credentials(core, &mut doc, &mode, n, None)?;
    fill_defaults(&mut doc, &name);
    let now = core.clock.second();
    let app = App {
        number: n,
        name,
        active: activate,
        created: now,
        last_updated: now,
        active_since: now,
        system: false,
        doc,
        access_policy: core.apps.default_access_policy.clone(),
        profile_enrollment: core.apps.default_profile_enrollment.clone(),
        groups: BTreeMap::new(),
        direct: Vec::new(),
        written: HashMap::new(),
    };
    core.apps.add(app);
    core.schemas.app_created(n, now);
    core.mappings_for_app(n);
    core.app_event("application.lifecycle.create", n);
    if activate {
        core.app_event("application.lifecycle.activate", n);
    }
    let mut shown = single(core, request, n)?;
    if let Some(secret) = secret
        && let Some(client) = shown.pointer_mut("/credentials/oauthClient")
        && let Some(client) = client.as_object_mut()
    {
        client.insert("client_secret".to_owned(), Value::String(secret));
    }
    Ok(Response::json(200, &shown))
}

/// `PUT /api/v1/apps/{id}`.
pub(crate) fn replace(core: &mut Core, request: &Request, n: u32) -> Outcome {
    let mut doc = writable(body(request)?);
    let Some(old) = core.apps.get(n).cloned() else {
        return Err(Refusal::not_found("", "AppInstance"));
    };
    if !old.active && custom(&old) {
        return Err(refusal(
            400,
            "E0000024",
            "Bad request. Accept and/or Content-Type headers likely do not match supported values. Cause: No active instances",
        ));
    }
    doc.remove("name");
    required_text(&doc, "label", 100)?;
    let mode = required_text(&doc, "signOnMode", 100)?;
    if mode != old.sign_on_mode() {
        return Err(Refusal::validation(
            "signOnMode",
            "The sign-on mode of an app cannot be changed.",
        ));
    }
    check_settings(&mode, &old.name, &doc)?;
    let application_type = |doc: &Map<String, Value>| {
        doc.get("settings")
            .and_then(|s| s.pointer("/oauthClient/application_type"))
            .cloned()
    };
    if mode == "OPENID_CONNECT" && application_type(&doc) != application_type(&old.doc) {
        return Err(Refusal::validation(
            "application_type",
            "The application type cannot be changed.",
        ));
    }
    settle_credentials(core, &mut doc, &mode, n, Some(&old))?;
    fill_defaults(&mut doc, &old.name);
    let now = core.clock.second();
    if let Some(app) = core.apps.get_mut(n) {
        app.doc = doc;
        app.last_updated = now;
    }
    core.app_event("application.lifecycle.update", n);
    Ok(Response::json(200, &single(core, request, n)?))
}

/// `DELETE /api/v1/apps/{id}`.
pub(crate) fn delete(core: &mut Core, n: u32) -> Outcome {
    let Some(app) = core.apps.get(n) else {
        return Err(Refusal::not_found("", "AppInstance"));
    };
    if app.system {
        return Err(forbidden());
    }
    if app.active {
        return Err(refusal(403, "E0000056", "Delete application forbidden."));
    }
    core.app_event("application.lifecycle.delete", n);
    core.mappings_without_app(n);
    core.schemas.app_deleted(n);
    if let Some(place) = core.apps.places.get_mut(n as usize) {
        *place = None;
    }
    Ok(Response::empty(204))
}

/// `POST /api/v1/apps/{id}/lifecycle/{verb}`.
pub(crate) fn act(core: &mut Core, n: u32, verb: &str) -> Outcome {
    let activate = match verb {
        "activate" => true,
        "deactivate" => false,
        _ => return Err(crate::response::no_such_path()),
    };
    let now = core.clock.second();
    let Some(app) = core.apps.get_mut(n) else {
        return Err(Refusal::not_found("", "AppInstance"));
    };
    if app.system {
        return Err(forbidden());
    }
    if app.active != activate {
        app.active = activate;
        app.last_updated = now;
        if activate {
            app.active_since = now;
        }
        let event = if activate {
            "application.lifecycle.activate"
        } else {
            "application.lifecycle.deactivate"
        };
        core.app_event(event, n);
    }
    Ok(Response::json(200, &json!({})))
}

/// `PUT /api/v1/apps/{id}/policies/{policyId}`, for a policy that the caller has looked up.
pub(crate) fn link_policy(core: &mut Core, n: u32, policy: &str, kind: &str) -> Outcome {
    let Some(app) = core.apps.get_mut(n) else {
        return Err(Refusal::not_found("", "AppInstance"));
    };
    if app.system {
        return Err(Refusal::validation(
            "policy",
            "The policy of this app cannot be changed.",
        ));
    }
    match kind {
        "policy_access" => app.access_policy = Some(policy.to_owned()),
        "policy_profile_enrollment" => app.profile_enrollment = Some(policy.to_owned()),
        _ => {
            return Err(Refusal::validation(
                "policy",
                "The policy's type cannot be assigned to an app.",
            ));
        }
    }
    let targets = vec![core.app_target(n), target("PolicyEntity", policy, policy)];
    core.emit_event("application.policy.sign_on.update", targets);
    Ok(Response::empty(204))
}

/// An app as by itself.
pub(crate) fn single(core: &Core, request: &Request, n: u32) -> Result<Value, Refusal> {
    core.apps
        .get(n)
        .map(|app| core.app_value(app, &request.base_url))
        .ok_or_else(|| Refusal::not_found(&core.app_id(n), "AppInstance"))
}

fn custom(app: &App) -> bool {
    matches!(
        app.sign_on_mode(),
        "SAML_2_0" | "OPENID_CONNECT" | "AUTO_LOGIN"
    )
}

fn writable(body: &Map<String, Value>) -> Map<String, Value> {
    body.iter()
        .filter(|(key, _)| !READ_ONLY.contains(&key.as_str()))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

fn required_text(doc: &Map<String, Value>, key: &str, max: usize) -> Result<String, Refusal> {
    let text = doc
        .get(key)
        .and_then(Value::as_str)
        .map(str::trim)
        .unwrap_or_default();
    if text.is_empty() {
        return Err(Refusal::validation(key, "The field cannot be left blank"));
    }
    if text.chars().count() > max {
        return Err(Refusal::validation(key, "The field is too long"));
    }
    Ok(text.to_owned())
}

/// The template key: fixed for OIDC and bookmarks, made from the label for custom apps.
fn template_name(
    core: &Core,
    mode: &str,
    given: Option<String>,
    label: &str,
) -> Result<String, Refusal> {
    let made = || {
        let slug: String = label
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .map(|c| c.to_ascii_lowercase())
            .collect();
        format!(
            "{}_{slug}_{}",
            core.settings.subdomain(),
            core.apps.next_number()
        )
    };
    match (mode, given) {
        ("OPENID_CONNECT", None) => Ok("oidc_client".to_owned()),
        ("OPENID_CONNECT", Some(name)) if name == "oidc_client" => Ok(name),
        ("BOOKMARK", Some(name)) if name == "bookmark" => Ok(name),
        ("SAML_2_0" | "AUTO_LOGIN", None) => Ok(made()),
        ("BASIC_AUTH", Some(name)) if name == "template_basic_auth" => Ok(name),
        ("BROWSER_PLUGIN", Some(name)) if name.starts_with("template_swa") => Ok(name),
        ("SECURE_PASSWORD_STORE", Some(name)) if name == "template_sps" => Ok(name),
        ("WS_FEDERATION", Some(name)) if name == "template_wsfed" => Ok(name),
        (_, name) => Err(Refusal::validation(
            "name",
            &format!(
                "Invalid app name '{}' for this sign-on mode.",
                name.unwrap_or_default()
            ),
        )),
    }
}

fn check_settings(mode: &str, name: &str, doc: &Map<String, Value>) -> Result<(), Refusal> {
    let settings = doc.get("settings").cloned().unwrap_or_default();
    let missing = |field: &str| Err(Refusal::validation(field, "The field cannot be left blank"));
    match mode {
        "OPENID_CONNECT" => {
            let client = settings.get("oauthClient").cloned().unwrap_or_default();
            let kind = client
                .get("application_type")
                .and_then(Value::as_str)
                .unwrap_or("web");
            let grants = client
                .get("grant_types")
                .and_then(Value::as_array)
                .cloned()
                .unwrap_or_default();
            if grants.is_empty() {
                return missing("grant_types");
            }
            let redirects = client
                .get("redirect_uris")
                .and_then(Value::as_array)
                .is_some_and(|uris| !uris.is_empty());
            if kind != "service" && !redirects {
                return missing("redirect_uris");
            }
            Ok(())
        }
        "SAML_2_0" => {
            for field in ["ssoAcsUrl", "audience", "recipient", "destination"] {
                if settings
                    .pointer(&format!("/signOn/{field}"))
                    .and_then(Value::as_str)
                    .unwrap_or_default()
                    .is_empty()
                {
                    return missing(field);
                }
            }
            Ok(())
        }
        "AUTO_LOGIN"
            if settings
                .pointer("/signOn/loginUrl")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .is_empty() =>
        {
            missing("loginUrl")
        }
        "BOOKMARK"
            if name == "bookmark"
                && settings
                    .pointer("/app/url")
                    .and_then(Value::as_str)
                    .unwrap_or_default()
                    .is_empty() =>
        {
            missing("url")
        }
        _ => Ok(()),
    }
}

/// Fills in what the server decides about credentials; gives the client secret of a new OIDC app.
fn settle_credentials(
    core: &mut Core,
    doc: &mut Map<String, Value>,
    mode: &str,
    n: u32,
    old: Option<&App>,
) -> Result<Option<String>, Refusal> {
    let mut credentials = doc
        .get("credentials")
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default();
    credentials
        .entry("userNameTemplate")
        .or_insert_with(|| json!({"template": "${source.login}", "type": "BUILT_IN"}));
    if matches!(mode, "SAML_2_0" | "OPENID_CONNECT" | "SAML_1_1") {
        let kept = old.and_then(|app| app.doc.get("credentials")?.get("signing").cloned());
        let signing = kept.unwrap_or_else(|| json!({"kid": core.ids.fresh("kid")}));
        credentials.insert("signing".to_owned(), signing);
    }
    let mut secret = None;
    if mode == "OPENID_CONNECT" {
        let own_id = core.app_id(n);
        let mut client = credentials
            .get("oauthClient")
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_default();
        let asked = client
            .get("client_id")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
        let kept = old.and_then(|app| {
            app.doc
                .get("credentials")?
                .pointer("/oauthClient/client_id")
                .cloned()
        });
        let client_id = match (&kept, asked.is_empty()) {
            (Some(kept), _) => kept.as_str().unwrap_or_default().to_owned(),
            (None, true) => own_id,
            (None, false) => asked,
        };
        if !(6..=100).contains(&client_id.len()) {
            return Err(Refusal::validation(
                "client_id",
                "client_id must be 6 to 100 characters long.",
            ));
        }
        let taken = core.apps.all().any(|(other, app)| {
            other != n
                && app
                    .doc
                    .get("credentials")
                    .and_then(|c| c.pointer("/oauthClient/client_id"))
                    .and_then(Value::as_str)
                    == Some(client_id.as_str())
        });
        if taken {
            return Err(Refusal::validation(
                "client_id",
                "An object with this field already exists in the current organization",
            ));
        }
        let given = client
            .remove("client_secret")
            .and_then(|value| value.as_str().map(str::to_owned));
        if given
            .as_ref()
            .is_some_and(|text| !(14..=100).contains(&text.len()))
        {
            return Err(Refusal::validation(
                "client_secret",
                "client_secret must be 14 to 100 characters long.",
            ));
        }
        client.insert("client_id".to_owned(), Value::String(client_id));
        client.entry("autoKeyRotation").or_insert(Value::Bool(true));
        client
            .entry("token_endpoint_auth_method")
            .or_insert_with(|| Value::from("client_secret_basic"));
        client.entry("pkce_required").or_insert(Value::Bool(false));
        let uses_secret = client
            .get("token_endpoint_auth_method")
            .and_then(Value::as_str)
            .is_some_and(|method| method.starts_with("client_secret"));
        if old.is_none() && uses_secret {
            secret =
                Some(given.unwrap_or_else(|| {
                    format!("{}{}", core.ids.fresh("sec"), core.ids.fresh("ret"))
                }));
        }
        credentials.insert("oauthClient".to_owned(), Value::Object(client));
    }
    if let Some(password) = credentials
        .get_mut("password")
        .and_then(Value::as_object_mut)
    {
        password.remove("value");
    }
    doc.insert("credentials".to_owned(), Value::Object(credentials));
    Ok(secret)
}

/// Fills in the members that Okta shows whether they were sent or not.
pub(crate) fn fill_defaults(doc: &mut Map<String, Value>, name: &str) {
    merge_under(
        doc,
        &json!({
            "accessibility": {"selfService": false, "errorRedirectUrl": null, "loginRedirectUrl": null},
            "visibility": {
                "autoLaunch": false, "autoSubmitToolbar": false,
                "hide": {"iOS": false, "web": false},
                "appLinks": {format!("{name}_link"): true},
            },
            "settings": {
                "app": {},
                "notifications": {"vpn": {"network": {"connection": "DISABLED"}, "message": null, "helpUrl": null}},
                "manualProvisioning": false, "implicitAssignment": false, "emOptInStatus": "NONE",
                "notes": {"admin": null, "enduser": null},
            },
        }),
    );
    let mode = doc
        .get("signOnMode")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    let settings = match mode.as_str() {
        "OPENID_CONNECT" => json!({"settings": {"oauthClient": {
            "client_uri": null, "logo_uri": null, "consent_method": "TRUSTED", "issuer_mode": "ORG_URL",
            "application_type": "web", "idp_initiated_login": {"mode": "DISABLED", "default_scope": []},
            "wildcard_redirect": "DISABLED", "dpop_bound_access_tokens": false, "participate_slo": false,
        }}}),
        "SAML_2_0" => json!({"settings": {"signOn": {
            "defaultRelayState": "", "idpIssuer": "http://www.okta.com/${org.externalKey}",
            "subjectNameIdTemplate": "${user.userName}",
            "subjectNameIdFormat": "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress",
            "responseSigned": true, "assertionSigned": true, "signatureAlgorithm": "RSA_SHA256",
            "digestAlgorithm": "SHA256", "honorForceAuthn": true,
            "authnContextClassRef": "urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport",
            "spIssuer": null, "requestCompressed": false, "attributeStatements": [], "inlineHooks": [],
            "allowMultipleAcsEndpoints": false, "acsEndpoints": [], "samlSignedRequestEnabled": false,
            "slo": {"enabled": false},
        }}}),
        _ => return,
    };
    merge_under(doc, &settings);
}

fn merge_under(doc: &mut Map<String, Value>, defaults: &Value) {
    let Some(defaults) = defaults.as_object() else {
        return;
    };
    for (key, default) in defaults {
        match doc.get_mut(key) {
            None => {
                doc.insert(key.clone(), default.clone());
            }
            Some(Value::Object(inner)) => merge_under(inner, default),
            Some(Value::Null) if default.is_object() => {
                doc.insert(key.clone(), default.clone());
            }
            Some(_) => {}
        }
    }
}

impl Core {
    /// The number of the app with this id, if it is there.
    pub(crate) fn find_app(&self, id: &str) -> Option<u32> {
        let n = self.ids.ordinal("0oa", id)?;
        self.apps.get(n).map(|_| n)
    }

    /// An app's id.
    pub(crate) fn app_id(&self, n: u32) -> String {
        self.ids.text("0oa", u64::from(n))
    }

    /// An access policy is gone: its apps fall back to the default one.
    pub(crate) fn policy_gone(&mut self, policy: &str) {
        let default = self.apps.default_access_policy.clone();
        for app in self.apps.all_mut() {
            if app.access_policy.as_deref() == Some(policy) {
                app.access_policy.clone_from(&default);
            }
        }
    }

    /// An app as an event's target.
    pub(crate) fn app_target(&self, n: u32) -> LogTarget {
        let label = self
            .apps
            .get(n)
            .map(|app| app.label().to_owned())
            .unwrap_or_default();
        target("AppInstance", &self.app_id(n), &label)
    }

    /// Adds an event about an app, and its twin for an OAuth client.
    pub(crate) fn app_event(&mut self, event_type: &str, n: u32) {
        let subject = self.app_target(n);
        let oauth = self
            .apps
            .get(n)
            .is_some_and(|app| app.sign_on_mode() == "OPENID_CONNECT");
        self.emit_event(event_type, vec![subject.clone()]);
        if oauth && let Some(verb) = event_type.strip_prefix("application.lifecycle.") {
            let kind = LogTarget {
                kind: "PublicClientApp".to_owned(),
                ..subject
            };
            self.emit_event(&format!("app.oauth2.client.lifecycle.{verb}"), vec![kind]);
        }
    }

    /// An app as a tree.
    pub(crate) fn app_value(&self, app: &App, base: &str) -> Value {
        let id = self.app_id(app.number);
        let mut value = app.doc.clone();
        value.insert("id".to_owned(), Value::String(id.clone()));
        value.insert(
            "orn".to_owned(),
            json!(format!(
                "orn:okta:idp:{}:apps:{}:{id}",
                self.org_id_text(),
                app.name
            )),
        );
        value.insert("name".to_owned(), json!(app.name));
        value.insert(
            "status".to_owned(),
            json!(if app.active { "ACTIVE" } else { "INACTIVE" }),
        );
        value.insert("created".to_owned(), json!(time_text(app.created)));
        value.insert("lastUpdated".to_owned(), json!(time_text(app.last_updated)));
        value.insert("features".to_owned(), json!([]));
        value.insert("universalLogout".to_owned(), Value::Null);
        value.insert("_links".to_owned(), self.app_links(app, &id, base));
        Value::Object(value)
    }

    fn app_links(&self, app: &App, id: &str, base: &str) -> Value {
        let own = format!("{base}/api/v1/apps/{id}");
        let verb = if app.active { "deactivate" } else { "activate" };
        let mut links = json!({
            "uploadLogo": {"href": format!("{own}/logo"), "hints": {"allow": ["POST"]}},
            "appLinks": [{"name": format!("{}_link", app.name), "href": format!("{base}/home/{}/{id}/aln{}", app.name, app.number), "type": "text/html"}],
            "policies": {"href": format!("{own}/policies"), "hints": {"allow": ["PUT"]}},
            "groups": {"href": format!("{own}/groups")},
            "users": {"href": format!("{own}/users")},
            "logo": [{"name": "medium", "href": "https://static.oktacdn.example/assets/img/logos/default.png", "type": "image/png"}],
            verb: {"href": format!("{own}/lifecycle/{verb}")},
        });
        let policies = [
            ("accessPolicy", &app.access_policy),
            ("profileEnrollment", &app.profile_enrollment),
        ];
        for (rel, policy) in policies {
            if let (Some(policy), Some(map)) = (policy, links.as_object_mut()) {
                map.insert(
                    rel.to_owned(),
                    json!({"href": format!("{base}/api/v1/policies/{policy}")}),
                );
            }
        }
        links
    }

    fn app_attribute(&self, app: &App, name: &str) -> Vec<String> {
        match name {
            "id" => vec![self.app_id(app.number)],
            "status" => vec![if app.active { "ACTIVE" } else { "INACTIVE" }.to_owned()],
            "name" => vec![app.name.clone()],
            "group.id" => app.groups.keys().map(|n| self.group_id(*n)).collect(),
            "user.id" => self
                .app_user_numbers(app)
                .into_iter()
                .map(|n| self.user_id(n))
                .collect(),
            other => crate::log::attribute(&Value::Object(app.doc.clone()), other),
        }
    }

    /// `GET /api/v1/groups/{id}/apps`.
    pub(crate) fn apps_of_group(&self, request: &Request, group: u32) -> Outcome {
        let window = Window::read(self, request, SIZES)?;
        let start = usize::try_from(window.start).unwrap_or(usize::MAX);
        let all: Vec<&App> = self
            .apps
            .all()
            .map(|(_, app)| app)
            .filter(|app| app.groups.contains_key(&group))
            .collect();
        let mut array = ArrayWriter::with_room(4096);
        for app in all.iter().skip(start).take(window.limit) {
            push_value(array.item(), &self.app_value(app, &request.base_url));
        }
        let end = start.saturating_add(window.limit);
        let next = (end < all.len()).then_some(end as u64);
        Ok(Response::list(
            array.finish(),
            window.page(self, request, next),
        ))
    }

    /// Every app, by id.
    pub(crate) fn dump_apps(&self, base: &str) -> BTreeMap<String, Value> {
        self.apps
            .all()
            .map(|(n, app)| (self.app_id(n), self.app_value(app, base)))
            .collect()
    }
}
