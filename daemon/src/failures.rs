//! How the errors of the engine's operations become problems: each by the part that failed.

use orgkeep_engine::backup::BackupError;
use orgkeep_engine::diff::DiffError;
use orgkeep_engine::export::ExportError;
use orgkeep_engine::restore::{PlanError, RestoreError};

use crate::org::okta_problem;
use crate::problem::{Problem, chain, sentence};
use crate::stores::store_problem;

/// What a cancelled operation gives; jobs tell it from a failure.
fn cancelled() -> Problem {
    Problem::new("cancelled", "It was asked to stop.")
}

fn reader_gone() -> Problem {
    Problem::new(
        "interrupted",
        "Whoever read the answer went away before its end.",
    )
}

impl From<BackupError> for Problem {
    fn from(error: BackupError) -> Self {
        match error {
            BackupError::Okta(error) => okta_problem(&error),
            BackupError::Store(error) => store_problem(&error),
            BackupError::Cancelled => cancelled(),
        }
    }
}

impl From<DiffError> for Problem {
    fn from(error: DiffError) -> Self {
        match error {
            DiffError::Okta(error) => okta_problem(&error),
            DiffError::Store(error) => store_problem(&error),
            DiffError::Stopped => reader_gone(),
            DiffError::Cancelled => cancelled(),
        }
    }
}

impl From<ExportError> for Problem {
    fn from(error: ExportError) -> Self {
        match error {
            ExportError::Store(error) => store_problem(&error),
            ExportError::Stopped => reader_gone(),
            ExportError::Cancelled => cancelled(),
        }
    }
}

impl From<PlanError> for Problem {
    fn from(error: PlanError) -> Self {
        match &error {
            PlanError::Okta(source) => okta_problem(source),
            PlanError::Store(source) => store_problem(source),
            PlanError::NotInSnapshot(_) => Self::new("not_found", sentence(&error, error.hint())),
            PlanError::State(_) => {
                tracing::warn!(error = %chain(&error), "A plan could not be computed");
                Self::new("internal", sentence(&error, error.hint()))
            }
            PlanError::Cancelled => cancelled(),
        }
    }
}

impl From<RestoreError> for Problem {
    fn from(error: RestoreError) -> Self {
        match &error {
            RestoreError::Okta(source) => okta_problem(source),
            RestoreError::Cancelled => cancelled(),
            RestoreError::Journal(_) => {
                tracing::error!(error = %chain(&error), "A restore's journal failed");
                Self::new("internal", sentence(&error, error.hint()))
            }
            RestoreError::Plan(_) => Self::new("plan_out_of_date", sentence(&error, error.hint())),
        }
    }
}
