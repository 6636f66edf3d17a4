//! Jobs, their progress, events and reports.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

words! {
    /// What a job does.
    JobKind {
        /// Reads an org into a snapshot.
        Backup = "backup",
        /// Computes a restore plan.
        RestorePlan = "restore_plan",
        /// Carries out a restore plan.
        Restore = "restore",
        /// Writes out a snapshot as plain files.
        Export = "export",
        /// Checks the store.
        Check = "check",
        /// Deletes what no snapshot needs any more.
        Prune = "prune",
        /// Rebuilds the index from the store.
        Reindex = "reindex",
        /// Makes a damaged store whole again.
        Repair = "repair",
    }
}

words! {
    /// Who started a job.
    Trigger {
        /// The schedule.
        Schedule = "schedule",
        /// A caller.
        Manual = "manual",
        /// The schedule, later than due: the daemon was not running then.
        CatchUp = "catch_up",
    }
}

words! {
    /// Where a job stands.
    JobState {
        /// Waits for its turn.
        Queued = "queued",
        /// Runs.
        Running = "running",
        /// Ended, with nothing to remark.
        Succeeded = "succeeded",
        /// Ended, but something could not be read or written; the report says what.
        CompletedWithErrors = "completed_with_errors",
        /// Ended without its result.
        Failed = "failed",
        /// Was asked to stop, or was skipped.
        Cancelled = "cancelled",
    }
}

impl JobState {
    /// Whether the job has ended.
    #[must_use]
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }
}

words! {
    /// How much a backup reads.
    BackupMode {
        /// What changed, where that can be told.
        Incremental = "incremental",
        /// Everything.
        Full = "full",
    }
}

/// `POST /v1/domains/{d}/backups`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StartBackup {
    /// How much to read.
    #[serde(default = "incremental")]
    pub mode: BackupMode,
}

fn incremental() -> BackupMode {
    BackupMode::Incremental
}

/// One run of an operation.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Job {
    /// Its id.
    pub id: String,
    /// The domain's name, or null for a job on the whole store.
    pub domain: Option<String>,
    /// What it does.
    pub kind: JobKind,
    /// Who started it.
    pub trigger: Trigger,
    /// Where it stands.
    pub state: JobState,
    /// When it was accepted.
    pub created_at: String,
    /// When it began, or null.
    pub started_at: Option<String>,
    /// When it ended, or null.
    pub finished_at: Option<String>,
    /// How far it is.
    pub progress: JobProgress,
    /// Why it failed or was skipped, or null.
    pub error: Option<JobError>,
    /// What it made, or null: `{"snapshot": …}`, `{"plan": …}` and the counts of its kind.
    #[schema(value_type = Option<Object>)]
    pub result: Option<Box<RawValue>>,
}

impl PartialEq for Job {
    fn eq(&self, other: &Self) -> bool {
        let text = |result: &Option<Box<RawValue>>| result.as_ref().map(|raw| raw.get().to_owned());
        self.id == other.id
            && self.domain == other.domain
            && self.kind == other.kind
            && self.trigger == other.trigger
            && self.state == other.state
            && self.created_at == other.created_at
            && self.started_at == other.started_at
            && self.finished_at == other.finished_at
            && self.progress == other.progress
            && self.error == other.error
            && text(&self.result) == text(&other.result)
    }
}

/// How far a job is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JobProgress {
    /// A stable word for what it is doing now (`collecting`, `applying` …), or null.
    pub phase: Option<String>,
    /// Steps of this phase that are done.
    pub done: u64,
    /// Steps of this phase, where known.
    pub total: Option<u64>,
    /// Objects done, by type.
    pub by_type: BTreeMap<String, u64>,
    /// Requests sent to Okta.
    pub requests: u64,
    /// Seconds spent waiting because of rate limits.
    pub rate_limited_s: u64,
    /// Bytes written to the store.
    pub bytes_new: u64,
}

/// Why a job failed or was skipped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JobError {
    /// A stable word, as in problem documents.
    pub code: String,
    /// What went wrong, and what to do about it.
    pub detail: String,
}

/// The data of a server-sent event. The event's name is `job`; its id is given back as `Last-Event-ID`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct JobEvent {
    /// The event's number, increasing over all jobs.
    pub seq: u64,
    /// When.
    pub at: String,
    /// The job as it stood then.
    pub job: Job,
    /// A remark of the operation at that moment, or null.
    pub warning: Option<String>,
}

/// `GET /v1/jobs/{j}/report` as JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct JobReport {
    /// The job as it stands.
    pub job: Job,
    /// Remarks of the operation.
    pub warnings: Vec<String>,
    /// What was done, object by object, where the kind has such rows.
    pub items: Vec<ReportItem>,
}

/// One object in a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReportItem {
    /// Its place in the plan, or in the report.
    pub seq: u64,
    /// What was to be done: an action of a plan, or `read`.
    pub action: String,
    /// The object's type.
    #[serde(rename = "type")]
    pub object_type: String,
    /// The object's id.
    pub id: String,
    /// The id it has now, where it was created again.
    pub new_id: Option<String>,
    /// Its name for people.
    pub name: Option<String>,
    /// `done`, `skipped`, `held_back` or `failed`; for objects of a check: `damaged`.
    pub outcome: String,
    /// Why, or null.
    pub detail: Option<String>,
}
