//! Status, keys, scopes, the audit log, problems and lists.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::KeyManagement;
use crate::job::Job;

/// One page of a list. `next` is given back as `after`; null on the last page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Items<T> {
    /// The rows of this page.
    pub items: Vec<T>,
    /// Where the next page begins, or null.
    pub next: Option<String>,
}

/// An error, as RFC 9457 describes it (`application/problem+json`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// `urn:orgkeep:problem:` and the code.
    #[serde(rename = "type")]
    pub kind: String,
    /// What went wrong, in a few words that are the same each time.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What went wrong this time, and what to do about it.
    pub detail: String,
    /// A stable word: `unauthorized`, `unreachable`, `missing_scopes`, `plan_out_of_date` …
    pub code: String,
    /// The scopes that are missing, for `missing_scopes`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
}

/// `GET /v1/status`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// The running daemon.
    pub daemon: DaemonStatus,
    /// The store, in brief.
    pub store: StoreState,
    /// The provider of the key-encryption key.
    pub key_provider: KeyProviderStatus,
    /// How many domains are registered.
    pub domains: u64,
    /// The next scheduled backups, soonest first.
    pub next_runs: Vec<NextRun>,
    /// Jobs that run or wait.
    pub running_jobs: Vec<Job>,
    /// What needs the operator's attention.
    pub warnings: Vec<String>,
}

/// The running daemon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DaemonStatus {
    /// The program's version.
    pub version: String,
    /// Its process id.
    pub pid: u32,
    /// When it started.
    pub started_at: String,
    /// The data directory.
    pub data_dir: String,
    /// The SQLite that is built in.
    pub sqlite: String,
}

/// The store, in brief.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StoreState {
    /// `ok` or `unavailable`.
    pub state: String,
    /// Why it is unavailable, or null.
    pub detail: Option<String>,
    /// Where the blobs are.
    pub location: String,
}

/// The provider of the key-encryption key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeyProviderStatus {
    /// `file` or `systemd-credential`.
    pub name: String,
    /// `ok`; `not_created` before the first use; `unavailable`.
    pub state: String,
    /// Why it is unavailable, or null.
    pub detail: Option<String>,
    /// A lasting caveat of this provider, or null.
    pub warning: Option<String>,
}

/// A scheduled backup that is to come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NextRun {
    /// The domain's name.
    pub domain: String,
    /// When it is due.
    pub at: String,
}

/// `GET /v1/keys`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeysStatus {
    /// The provider.
    pub provider: KeyProviderStatus,
    /// Each domain's state.
    pub domains: Vec<DomainKeysStatus>,
}

/// One domain's keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DomainKeysStatus {
    /// The domain's name.
    pub domain: String,
    /// Whether its keys can be used.
    pub key_management: KeyManagement,
}

/// `POST /v1/domains/{d}/key-management/rotate`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeysRotated {
    /// The domain's name.
    pub domain: String,
    /// The epoch of the new data key: what is written from now on is sealed with it.
    pub epoch: u32,
}

/// `POST /v1/keys/rewrap`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeysRewrapped {
    /// The domains whose keys, and registrations if they are registered, are wrapped anew by the provider's key.
    pub domains: Vec<String>,
    /// What could not be wrapped anew; empty if all could.
    pub failed: Vec<NotRewrapped>,
}

/// A domain whose keys could not be wrapped anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NotRewrapped {
    /// The domain's name.
    pub domain: String,
    /// Why, and what to do about it.
    pub detail: String,
}

/// `GET /v1/scopes`: what to grant to the app in Okta.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ScopesToGrant {
    /// The scopes for backup alone.
    pub backup: Vec<String>,
    /// The scopes that a restore needs as well.
    pub restore: Vec<String>,
}

/// One row of the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditRow {
    /// Its place, from 1.
    pub seq: u64,
    /// When.
    pub at: String,
    /// The peer's user id; null for what the daemon did by itself.
    pub uid: Option<u32>,
    /// The peer's group id.
    pub gid: Option<u32>,
    /// The peer's process id.
    pub pid: Option<i32>,
    /// What was asked for: `domain.add`, `job.cancel` …
    pub action: String,
    /// What it concerned: a domain's name, a job, a plan, a snapshot; or null.
    pub target: Option<String>,
    /// `ok`, or the code of the problem.
    pub outcome: String,
}

/// `GET /v1/audit?verify=true`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditVerification {
    /// Whether every row follows from the one before it.
    pub intact: bool,
    /// How many rows were verified.
    pub rows: u64,
    /// The first row that does not fit, or null.
    pub broken_at: Option<u64>,
    /// What does not fit, or null.
    pub detail: Option<String>,
    /// The hash of the last row.
    pub head: String,
}
