//! The org: everything it holds, and what every resource needs of it.

use std::collections::BTreeMap;

use crate::{
    apps::Apps,
    clock::{OrgClock, time_text},
    cursor::Cursors,
    groups::Groups,
    ids::IdMint,
    linked::LinkedObjects,
    log::{Actor, SystemLog},
    mappings::Mappings,
    rules::Rules,
    schemas::Schemas,
    settings::OrgSettings,
    user_types::UserTypes,
    users::Users,
    wire::{LogEvent, LogTarget, World},
};

/// A mail that the org would have sent.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Mail {
    /// The user it goes to.
    pub user_id: String,
    /// What it is about: `activation`, `deactivation`, `password_reset`.
    pub kind: String,
}

/// The org, but for what [`crate::config`] keeps.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) seed: u64,
    pub(crate) ids: IdMint,
    pub(crate) clock: OrgClock,
    pub(crate) cursors: Cursors,
    pub(crate) actor: Actor,
    /// Path and query of the request being answered, for its events.
    pub(crate) request_uri: String,
    pub(crate) log: SystemLog,
    pub(crate) mails: Vec<Mail>,
    pub(crate) users: Users,
    pub(crate) groups: Groups,
    pub(crate) rules: Rules,
    pub(crate) apps: Apps,
    pub(crate) types: UserTypes,
    pub(crate) schemas: Schemas,
    pub(crate) mappings: Mappings,
    pub(crate) linked: LinkedObjects,
    pub(crate) settings: OrgSettings,
    /// Milliseconds until `search` sees a change.
    pub(crate) search_delay_ms: i64,
    /// Milliseconds until `lastMembershipUpdated` shows a change.
    pub(crate) membership_delay_ms: i64,
}

impl Core {
    /// Adds an event by the caller of the request being answered.
    pub(crate) fn emit_event(&mut self, event_type: &str, targets: Vec<LogTarget>) {
        let event = LogEvent {
            event_type: event_type.to_owned(),
            targets,
        };
        let now = self.clock.now();
        self.log
            .add(self.seed, event, &self.actor, &self.request_uri, now);
    }

    /// The org's id.
    pub(crate) fn org_id_text(&self) -> String {
        self.ids.text("00o", 0)
    }

    /// Records a mail to a user.
    pub(crate) fn mail(&mut self, user: u32, kind: &str) {
        let user_id = self.user_id(user);
        self.mails.push(Mail {
            user_id,
            kind: kind.to_owned(),
        });
    }

    /// Every object of a core type, as a GET would show it; `None` for a type that is not the core's.
    pub(crate) fn dump(
        &self,
        object_type: &str,
        base_url: &str,
    ) -> Option<BTreeMap<String, serde_json::Value>> {
        match object_type {
            "user" => Some(self.dump_users(base_url)),
            "group" => Some(self.dump_groups(base_url)),
            "group_member" => Some(self.dump_members(base_url)),
            "group_rule" => Some(self.dump_rules()),
            "app" => Some(self.dump_apps(base_url)),
            "app_user" => Some(self.dump_app_users(base_url)),
            "app_group_assignment" => Some(self.dump_app_groups(base_url)),
            "app_user_schema" => Some(self.dump_app_schemas(base_url)),
            "user_type" => Some(self.dump_user_types(base_url)),
            "user_schema" => Some(self.dump_user_schemas(base_url)),
            "group_schema" => Some(self.dump_group_schema(base_url)),
            "profile_mapping" => Some(self.dump_mappings(base_url)),
            "linked_object_definition" => Some(self.dump_linked(base_url)),
            "org_setting" => Some(self.dump_settings(base_url)),
            _ => None,
        }
    }
}

impl World for Core {
    fn now(&self) -> String {
        time_text(self.clock.second())
    }

    fn new_id(&mut self, prefix: &str) -> String {
        self.ids.fresh(prefix)
    }

    fn org_id(&self) -> String {
        self.org_id_text()
    }

    fn emit(&mut self, event: LogEvent) {
        let now = self.clock.now();
        self.log
            .add(self.seed, event, &self.actor, &self.request_uri, now);
    }

    fn exists(&self, object_type: &str, id: &str) -> bool {
        match object_type {
            "user" => self.find_user(id).is_some(),
            "group" => self.find_group(id).is_some(),
            "group_rule" => self.find_rule(id).is_some(),
            "app" => self.find_app(id).is_some(),
            "user_type" => self.find_user_type(id).is_some(),
            _ => false,
        }
    }
}
