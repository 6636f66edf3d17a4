//! The exit codes, which are part of the public interface.

use std::process::ExitCode;

use http::StatusCode;
use orgkeep_api::job::JobState;

use crate::client::ClientError;
use crate::commands::CommandError;

/// How a run of the program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done.
    Done = 0,
    /// Failed, or the job that was followed failed or was cancelled.
    Failed = 1,
    /// Wrong usage.
    Usage = 2,
    /// The job that was followed completed with errors.
    CompletedWithErrors = 3,
    /// The caller's role does not permit it.
    NotPermitted = 4,
    /// The daemon is not reachable.
    Unreachable = 5,
    /// Not found.
    NotFound = 6,
    /// In conflict with the present state.
    Conflict = 7,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl From<JobState> for Exit {
    /// Of a job that was followed; one that has not ended yet was only started.
    fn from(state: JobState) -> Self {
        match state {
            JobState::Queued | JobState::Running | JobState::Succeeded => Self::Done,
            JobState::CompletedWithErrors => Self::CompletedWithErrors,
            JobState::Failed | JobState::Cancelled => Self::Failed,
        }
    }
}

impl From<&CommandError> for Exit {
    fn from(error: &CommandError) -> Self {
        match error {
            CommandError::Client(error) => error.into(),
            CommandError::Unpack(error) if error.is_usage() => Self::Usage,
            CommandError::Output(_) | CommandError::Prompt(_) | CommandError::Unpack(_) => {
                Self::Failed
            }
            CommandError::Declined => Self::Failed,
            CommandError::Secret(_)
            | CommandError::DomainNotNamed { .. }
            | CommandError::NoCredentials
            | CommandError::NotConfirmed { .. }
            | CommandError::OtherName { .. } => Self::Usage,
        }
    }
}

impl From<&ClientError> for Exit {
    fn from(error: &ClientError) -> Self {
        match error {
            ClientError::Unreachable { .. } | ClientError::Broken { .. } => Self::Unreachable,
            ClientError::Refused(problem) => of_status(problem.status),
            ClientError::Unexplained(status) => of_status(status.as_u16()),
            _ => Self::Failed,
        }
    }
}

fn of_status(status: u16) -> Exit {
    match StatusCode::from_u16(status) {
        Ok(StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY) => Exit::Usage,
        Ok(StatusCode::FORBIDDEN) => Exit::NotPermitted,
        Ok(StatusCode::NOT_FOUND) => Exit::NotFound,
        Ok(StatusCode::CONFLICT) => Exit::Conflict,
        _ => Exit::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_status_has_the_exit_code_of_the_interface() {
        for (status, exit) in [
            (400, Exit::Usage),
            (422, Exit::Usage),
            (403, Exit::NotPermitted),
            (404, Exit::NotFound),
            (409, Exit::Conflict),
            (424, Exit::Failed),
            (500, Exit::Failed),
            (503, Exit::Failed),
        ] {
            assert_eq!(of_status(status), exit, "{status}");
        }
    }

    #[test]
    fn a_followed_job_decides_the_exit_code() {
        assert_eq!(Exit::from(JobState::Succeeded), Exit::Done);
        assert_eq!(
            Exit::from(JobState::CompletedWithErrors),
            Exit::CompletedWithErrors
        );
        assert_eq!(Exit::from(JobState::Failed), Exit::Failed);
        assert_eq!(Exit::from(JobState::Cancelled), Exit::Failed);
    }
}
