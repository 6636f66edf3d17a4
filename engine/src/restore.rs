//! Carries out an approved restore plan, and survives being stopped at any point.
//!
//! Before each action's first request its intent is journalled, and after it its outcome; a run that
//! was killed, cancelled or lost an answer is taken up again from the journal without creating
//! anything twice. Before it writes, an action reads the live object again and is held back if it is
//! not what the plan saw. Afterwards what was written is read back and compared.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::catalogue::ObjectType;
use crate::plan::{ActionKind, type_name};

mod apply;
mod gather;
mod request;
mod verify;

pub use apply::{RestoreError, apply};
pub use gather::{PlanError, plan_restore};

/// Where a restore notes what it is about to do and what it has done.
///
/// Implemented by whoever runs the restore. Both calls must be durable before they return.
pub trait Journal {
    /// Everything noted so far for this restore, in order.
    ///
    /// # Errors
    ///
    /// When the journal cannot be read.
    fn records(&self) -> Result<Vec<JournalRecord>, JournalError>;

    /// Notes one record, durably. A record with a new id ([`JournalRecord::mapping`]) also belongs
    /// into the domain's id map, in the same transaction.
    ///
    /// # Errors
    ///
    /// When the record could not be made durable; the restore stops before it writes anything more.
    fn append(&mut self, record: &JournalRecord) -> Result<(), JournalError>;
}

/// Why the journal failed.
#[derive(Debug, thiserror::Error)]
#[error("the restore journal failed")]
pub struct JournalError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// One line of a restore's journal. Holds names only inside `detail`, so it is kept sealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
pub enum JournalRecord {
    /// The action's first request is about to be sent.
    Intent {
        /// The action's number in the plan.
        seq: u32,
        /// The moment by the org's own clock: what it creates from now on is younger.
        at: Timestamp,
    },
    /// An object was created by a step within an action; the action goes on.
    Made {
        /// The action's number in the plan.
        seq: u32,
        /// The new object's id.
        id: String,
    },
    /// The action has ended.
    Done(ActionReport),
}

impl JournalRecord {
    /// The old and the new id, where the record says that an object was created again.
    #[must_use]
    pub fn mapping(&self) -> Option<(ObjectType, &str, &str)> {
        match self {
            Self::Done(report) if matches!(report.outcome, Outcome::Done | Outcome::Skipped) => {
                report
                    .new_id
                    .as_deref()
                    .filter(|new| *new != report.id)
                    .map(|new| (report.object_type, report.id.as_str(), new))
            }
            _ => None,
        }
    }
}

/// How an action ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was carried out.
    Done,
    /// There was nothing to do any more.
    Skipped,
    /// It was not carried out, as something it relies on had moved or failed.
    HeldBack,
    /// Okta refused it.
    Failed,
}

/// What reading an object back showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verification {
    /// It is as planned.
    AsPlanned,
    /// It is there, but some values are not as planned.
    Differs,
    /// It is not there.
    Absent,
    /// It could not be read back.
    Unknown,
    /// It was not read back: nothing was written.
    NotNeeded,
}

/// What became of one action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionReport {
    /// The action's number in the plan.
    pub seq: u32,
    /// What kind of step it was.
    pub action: ActionKind,
    /// The type of the object.
    #[serde(rename = "type", with = "type_name")]
    pub object_type: ObjectType,
    /// The object's id in the snapshot.
    pub id: String,
    /// Its name for people, where it has one.
    pub name: Option<String>,
    /// How it ended.
    pub outcome: Outcome,
    /// The id it has now, where an object was created.
    pub new_id: Option<String>,
    /// Okta's error code, where Okta refused it.
    pub code: Option<String>,
    /// Why it was skipped, held back or failed. May hold values that Okta named: sealed with the report.
    pub detail: Option<String>,
    /// The paths that are not as planned after reading back.
    pub differs: Vec<String>,
    /// What reading it back showed.
    pub verification: Verification,
}

/// What a restore did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoreReport {
    /// One entry an action, in the plan's order.
    pub actions: Vec<ActionReport>,
    /// How many actions ended each way.
    pub counts: BTreeMap<Outcome, u64>,
    /// How many objects were read back and are not as planned.
    pub not_as_planned: u64,
    /// How many requests were sent.
    pub requests: u64,
    /// Problems that stopped nothing. Ids only.
    pub warnings: Vec<String>,
}

impl RestoreReport {
    /// Whether everything planned was done and found again. Values that Okta keeps in another form than
    /// they were sent in (a range of one address) are in `differs`, and no failure.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        let bad = |outcome| self.counts.get(&outcome).copied().unwrap_or(0) > 0;
        let absent = self
            .actions
            .iter()
            .any(|action| action.verification == Verification::Absent);
        !bad(Outcome::Failed) && !bad(Outcome::HeldBack) && !absent
    }
}

/// A journal in memory, for tests.
#[derive(Debug, Clone, Default)]
pub struct MemoryJournal {
    /// What was noted.
    pub noted: Vec<JournalRecord>,
}

impl Journal for MemoryJournal {
    fn records(&self) -> Result<Vec<JournalRecord>, JournalError> {
        Ok(self.noted.clone())
    }

    fn append(&mut self, record: &JournalRecord) -> Result<(), JournalError> {
        self.noted.push(record.clone());
        Ok(())
    }
}

#[cfg(test)]
mod sim_tests;

#[cfg(test)]
mod random_tests;
#[cfg(test)]
mod tests;
