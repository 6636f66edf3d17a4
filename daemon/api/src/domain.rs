//! Domain cards, settings, credentials and key management.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::job::JobState;

words! {
    /// How the org answers our credentials.
    AppStatus {
        /// The credentials work and the backup scopes are granted.
        Connected = "connected",
        /// The secret expired or was revoked: re-authorize.
        Unauthorized = "unauthorized",
        /// Backup scopes are missing.
        MissingScopes = "missing_scopes",
        /// The org could not be reached.
        Unreachable = "unreachable",
    }
}

words! {
    /// Whether a domain's keys exist and can be used.
    KeyManagement {
        /// They exist and the provider opens them.
        Enabled = "enabled",
        /// They do not exist yet: scheduled backups wait.
        NotEnabled = "not_enabled",
        /// They exist but the provider does not open them now.
        Unavailable = "unavailable",
    }
}

/// What is shown of a registered domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DomainCard {
    /// Its name.
    pub name: String,
    /// The org's address, `https://HOST`.
    pub okta_domain: String,
    /// The org's own id.
    pub org_id: String,
    /// When it was registered.
    pub added_at: String,
    /// `local`, or the object store's region.
    pub storage_region: String,
    /// Whether scheduled backups run.
    pub backup_enabled: bool,
    /// How the org answered last.
    pub app_status: AppStatus,
    /// What that means and what to do, or null.
    pub app_status_detail: Option<String>,
    /// The scopes for backup.
    pub scopes: Scopes,
    /// `.manage` scopes that a restore would need.
    pub restore_scopes_missing: Vec<String>,
    /// Whether its keys can be used.
    pub key_management: KeyManagement,
    /// When backups run.
    pub schedule: String,
    /// The IANA time zone of the schedule.
    pub timezone: String,
    /// The next scheduled backup, or null when none is due.
    pub next_backup_at: Option<String>,
    /// Which snapshots are kept.
    pub retention: String,
    /// The backup that ended last, or null.
    pub last_backup: Option<LastBackup>,
    /// The newest complete snapshot, or null.
    pub last_good_snapshot: Option<String>,
    /// How many objects of each type the newest snapshot holds.
    pub protected_items: BTreeMap<String, u64>,
    /// What needs attention.
    pub warnings: Vec<String>,
}

/// Backup scopes of a domain.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Scopes {
    /// Granted.
    pub granted: Vec<String>,
    /// Needed for the chosen types, but not granted.
    pub missing: Vec<String>,
}

/// The backup that ended last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LastBackup {
    /// Its job.
    pub job: String,
    /// How it ended.
    pub state: JobState,
    /// When it ended.
    pub finished_at: Option<String>,
}

/// How the daemon signs in to an org. Secrets are sealed at rest and never given back.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Credentials {
    /// An API service integration's or a service app's client id and secret.
    ClientSecret {
        /// The client id.
        client_id: String,
        /// The client secret.
        client_secret: String,
    },
    /// A service app's client id and private key.
    PrivateKey {
        /// The client id.
        client_id: String,
        /// The private key, as PEM or as a JWK.
        private_key: String,
        /// The key's id, where the key itself does not say it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key_id: Option<String>,
    },
    /// An API token (SSWS).
    ApiToken {
        /// The token.
        api_token: String,
    },
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::ClientSecret { .. } => "ClientSecret(…)",
            Self::PrivateKey { .. } => "PrivateKey(…)",
            Self::ApiToken { .. } => "ApiToken(…)",
        })
    }
}

/// `POST /v1/domains`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddDomain {
    /// The org's address, `https://HOST`; the scheme may be left out.
    pub okta_domain: String,
    /// How to sign in.
    pub credentials: Credentials,
    /// The name to register it under; the first label of the host by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether to enable key management at once.
    #[serde(default)]
    pub enable_keys: bool,
    /// The settings that differ from the defaults.
    #[serde(default)]
    pub settings: SettingsPatch,
}

/// `POST /v1/domains/{d}/reauthorize`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Reauthorize {
    /// The new credentials, for the same org.
    pub credentials: Credentials,
}

/// `PUT /v1/domains/{d}/backup`, and `PUT /v1/domains/{d}/key-management`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Enabled {
    /// On or off.
    pub enabled: bool,
}

/// `GET /v1/domains/{d}/settings`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Settings {
    /// `@hourly`, `@daily`, `@weekly`, `every N(m|h|d)`, a 5-field cron expression, or `off`.
    pub schedule: String,
    /// An IANA time zone.
    pub timezone: String,
    /// Which snapshots are kept, such as `within=48h,last=5,daily=30`.
    pub retention: String,
    /// Percent of each rate limit that we may use, 1 to 100.
    pub rate_limit_share: u8,
    /// How often a backup reads everything again, such as `7d`.
    pub full_every: String,
    /// The types to back up; null is all of them.
    pub types: Option<Vec<String>>,
}

/// `PATCH /v1/domains/{d}/settings`: what is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SettingsPatch {
    /// See [`Settings`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
    /// See [`Settings`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    /// See [`Settings`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<String>,
    /// See [`Settings`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit_share: Option<u8>,
    /// See [`Settings`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub full_every: Option<String>,
    /// See [`Settings`]; an empty list is all types again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub types: Option<Vec<String>>,
}
